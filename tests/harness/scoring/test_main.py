"""The scoring process as a whole, on a checkpoint of a model of the template."""

import lzma
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import torch

from harness import stages
from harness.launch import exclusive
from harness.profiles import Profile, load_profile, resolve
from harness.run_config import RunConfig
from harness.run_folder import RunFolder
from harness.run_sandbox import model_sandbox
from harness.scoring import metrics
from harness.scoring.__main__ import score
from harness.scoring.language_model import LanguageModel
from harness.scoring.report import Model, Request
from harness.script import load_script

SCRIPT = Path(__file__).parents[3] / "templates" / "custom_pretrain.py"


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The smoke profile at a quarter of its size."""
    model = {"block_size": 32, "vocab_size": 256, "n_layer": 1, "n_head": 1, "n_embd": 16}
    return msgspec.structs.replace(load_profile("smoke"), model=model, metrics=("val_loss",), windows=4)


@pytest.fixture
def folder(tmp_path: Path, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run folder with a checkpoint of an untrained model at step 7; no data set is prepared."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    folder.source.write_bytes(SCRIPT.read_bytes())
    folder.run.write_bytes(msgspec.json.encode(config(profile)))
    script = load_script(folder.source)
    model = script.build_model(script.load_settings(str(folder.run)))
    torch.save({"model": model.state_dict(), "step": 7}, folder.checkpoint)
    return folder


def config(profile: Profile) -> RunConfig:
    return resolve(profile, seed=1, device="cpu")


def request(folder: RunFolder, *names: str) -> Request:
    paths = {"source": folder.source, "run": folder.run, "checkpoint": folder.checkpoint, "kernels": folder.kernels}
    read = msgspec.json.decode(folder.run.read_bytes(), type=RunConfig)
    private = folder.root.parent / "private"
    private.mkdir(exist_ok=True)
    model = Model(
        **{key: str(path) for key, path in paths.items()},
        config=read,
        confinement=model_sandbox(folder, read, None, private),
        answer_seconds=60,
        seconds=120,
    )
    return Request(model=model, report=str(folder.scores), data="pydocs", metrics=names, windows=4)


def prepare_wikitext(folder: RunFolder) -> None:
    from harness.data.prepare import prepare

    source = folder.root / "wiki.test.raw.xz"
    source.write_bytes(lzma.compress(b" \n = One = \n \n A page . \n \n = Two = \n \n Another , longer page . \n"))
    prepare("wikitext2", [source])


def test_a_metric_that_fails_loses_no_other(folder: RunFolder) -> None:
    """Data sets that are not prepared and names that do not exist are errors of their own; the rest is measured."""
    prepare_wikitext(folder)
    report = score(request(folder, "val_loss", "lambada_ppl", "wikitext2_ppl", "piqa", "wikitext3_ppl"))
    assert report.error is None
    assert list(report.metrics) == ["val_loss", "wikitext2_ppl"]
    assert 5 < report.metrics["val_loss"] < 6
    assert report.metrics["wikitext2_ppl"] > 1
    assert set(report.errors) == {"lambada_ppl", "piqa", "wikitext3_ppl"}
    assert "the data set lambada is not prepared" in report.errors["lambada_ppl"]
    assert "There are: val_loss, wikitext2_ppl" in report.errors["wikitext3_ppl"]
    assert (report.tokens, report.step) == (4 * 32, 7)


def test_metrics_can_be_measured_without_the_loss(folder: RunFolder) -> None:
    """What failed before can be asked for alone."""
    prepare_wikitext(folder)
    report = score(request(folder, "wikitext2_ppl"))
    assert (list(report.metrics), report.tokens, report.step) == (["wikitext2_ppl"], 0, 7)


def test_a_model_that_raises_is_an_error(folder: RunFolder) -> None:
    """A model that cannot be scored at all gives no metrics, but the agent's own traceback; sys.exit is no way out."""
    source = SCRIPT.read_text()
    for statement, name in (("raise KeyError('lost')", "KeyError"), ("sys.exit(0)", "SystemExit")):
        line = "        for layer_idx, block in enumerate(self.blocks):\n"
        assert line in source
        folder.source.write_text(source.replace(line, f"        {statement}\n{line}"))
        report = score(request(folder, "val_loss"))
        assert report.metrics == {}
        assert report.error is not None
        assert report.error.startswith(name)
        assert "source.py" in report.traceback


def test_a_metric_is_tried_twice_with_half_the_batch(toy: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails once is measured by the second try, each metric alone; what fails twice is reported by its name."""
    tries: list[tuple[int, tuple[str, ...]]] = []

    def fragile(model: LanguageModel, names: Sequence[str]) -> dict[str, float]:
        tries.append((model.tokens_per_batch, tuple(names)))
        if model.tokens_per_batch > 200 or "b" in names:
            raise MemoryError("too large")
        return dict.fromkeys(names, 1.0)

    monkeypatch.setattr(metrics, "GROUPS", ((("a", "b"), fragile),))
    monkeypatch.setattr(metrics, "NAMES", ("a", "b"))
    assert metrics.measure(toy, ["b", "a"]) == ({"a": 1.0}, {"b": "MemoryError: too large"})
    assert tries == [(256, ("a", "b")), (128, ("a",)), (128, ("b",))]


def test_score_and_sample_in_child_processes(folder: RunFolder, profile: Profile) -> None:
    """The stages bring back what their processes measured and drew: a loss, and two different texts."""
    with exclusive(folder.lock) as lock:
        found = stages.run_scoring(folder, config(profile), profile, lock)
        drawn = stages.run_sampling(folder, config(profile), profile, lock, samples=2, tokens=5, seed=3)
    assert (found.error, list(found.metrics), found.errors) == (None, ["val_loss"], {})
    assert (drawn.error, drawn.step, len(drawn.texts)) == (None, 7, 2)
    assert drawn.texts[0] != drawn.texts[1]
