"""Loading a trained model for scoring."""

import pickle
from pathlib import Path

import msgspec
import pytest
import torch

from harness.profiles import load_profile, resolve
from harness.run_folder import RunFolder
from harness.scoring.checkpoint import load_checkpoint
from harness.script import load_script

TEMPLATE = Path(__file__).parents[3] / "templates" / "custom_pretrain.py"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder without a checkpoint."""
    folder = RunFolder(tmp_path)
    folder.source.write_bytes(TEMPLATE.read_bytes())
    sizes = {"block_size": "16", "n_layer": "1", "n_embd": "16"}
    config = resolve(load_profile("smoke"), seed=1, device="cpu", overridden=sizes)
    folder.run.write_bytes(msgspec.json.encode(config))
    return folder


def test_the_weights_are_those_of_the_checkpoint(run: RunFolder) -> None:
    """The model is in evaluation mode with the saved weights, and the step is the saved one."""
    script = load_script(run.source)
    model = script.build_model(script.load_settings(str(run.run)))
    with torch.no_grad():
        model.embedding.wte.weight += 1
    torch.save({"model": model.state_dict(), "step": 12}, run.checkpoint)
    loaded, step = load_checkpoint(run.source, run.run, run.checkpoint)
    assert step == 12
    assert not loaded.training
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_a_checkpoint_that_runs_code_is_refused(run: RunFolder, tmp_path: Path) -> None:
    """A checkpoint is data: one that would call a function when it is unpickled is not read, and calls nothing."""

    class Call:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "called",)

    torch.save({"model": Call(), "step": 1}, run.checkpoint)
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(run.source, run.run, run.checkpoint)
    assert not (tmp_path / "called").exists()


def test_weights_of_another_model_are_refused(run: RunFolder) -> None:
    """A checkpoint whose weights do not fit the source is an error that names them."""
    torch.save({"model": {"embedding.wte.weight": torch.zeros(2, 2)}, "step": 1}, run.checkpoint)
    with pytest.raises(RuntimeError, match=r"Missing key.*blocks\.0\.ln_1\.weight"):
        load_checkpoint(run.source, run.run, run.checkpoint)
