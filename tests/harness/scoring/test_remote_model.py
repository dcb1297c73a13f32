"""A model in a process of its own beside the same one in this process."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
import torch

from harness.profiles import load_profile, resolve
from harness.run_folder import RunFolder
from harness.run_sandbox import model_sandbox
from harness.scoring import shared_memory
from harness.scoring.logits import Question, answers
from harness.scoring.model_process import ModelFailure, ModelFiles
from harness.scoring.remote_model import RemoteModel
from harness.scoring.weights import read_weights
from harness.script import load_script

SCRIPT = Path(__file__).parents[3] / "templates" / "custom_pretrain.py"
Make = Callable[..., ModelFiles]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A run folder with the template, or another source, and its untrained model, 8 windows of 32 tokens a batch."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def make(source: str = SCRIPT.read_text(), device: str = "cpu") -> ModelFiles:
        folder = RunFolder(tmp_path / "run")
        folder.root.mkdir()
        sizes = {"block_size": "32", "n_layer": "1", "n_embd": "32"}
        config = resolve(load_profile("smoke"), seed=1, device=device, overridden=sizes)
        folder.source.write_text(source)
        folder.run.write_bytes(msgspec.json.encode(config))
        script = load_script(folder.source)
        torch.save({"model": script.build_model(config).state_dict(), "step": 3}, folder.checkpoint)
        (tmp_path / "private").mkdir()
        weights = held.enter_context(read_weights(folder.checkpoint))
        return ModelFiles(
            source=folder.source,
            run=folder.run,
            weights=weights,
            config=config,
            confinement=model_sandbox(folder, config, None, tmp_path / "private"),
            kernels=folder.kernels,
            answer_seconds=60,
            deadline=time.monotonic() + 120,
        )

    with ExitStack() as held:
        yield make


def questions() -> list[Question]:
    """Batches of several shapes, some of them with places."""
    dice = torch.Generator().manual_seed(0)
    found = []
    for rows, length in ((8, 32), (3, 17), (1, 1), (8, 32), (2, 9), (4, 32)):
        tokens_BT = torch.randint(256, (rows, length), generator=dice)
        some = torch.randint(rows * length, (5,), generator=dice)
        found += [Question(tokens_BT), Question(tokens_BT, some)]
    return found


@pytest.mark.parametrize("slot_bytes", [1024, 50_000, 2**24])
def test_logits_come_over_unchanged(files: Make, monkeypatch: pytest.MonkeyPatch, slot_bytes: int) -> None:
    """In chunks of any size, for whole batches and for some places, they are to the bit those of this process."""
    monkeypatch.setitem(shared_memory.SLOT_BYTES, "cpu", slot_bytes)
    torch.set_num_threads(1)
    given = files()
    local = load_script(given.source).build_model(given.config)
    with given.weights.opened() as checkpoint:
        local.load_state_dict(torch.load(checkpoint)["model"])
    with RemoteModel(given) as remote:
        assert remote.load() == 3
        found = [logits.clone() for logits in answers(remote, questions(), "cpu", "float32")]
    for mine, theirs in zip(answers(local.eval(), questions(), "cpu", "float32"), found, strict=True):
        assert torch.equal(mine, theirs)


def test_after_a_failure_another_process_answers(files: Make) -> None:
    """What the model raises names its line, without its words, which could hold what it was asked about.

    The next question starts a process anew, and none is left at the end.
    """
    text = SCRIPT.read_text()
    line = "        for layer_idx, block in enumerate(self.blocks):\n"
    assert line in text
    with RemoteModel(files(text.replace(line, f"        assert idx.shape[1] < 20, 'too long'\n{line}"))) as remote:
        first = remote.start().process.pid
        with pytest.raises(ModelFailure, match="AssertionError, whose words are withheld") as caught:
            list(remote.answers(questions()[:1]))
        assert "source.py" in caught.value.traceback
        (logits_NV,) = remote.answers(questions()[2:3])
        assert logits_NV.shape == (3 * 17, 256)
        second = remote.start().process.pid
    assert first != second
    for pid in (first, second):
        assert not os.path.exists(f"/proc/{pid}")


def test_the_shared_memory_cannot_be_cut_short() -> None:
    """The model's process, which has the descriptor, cannot make the evaluator's reading fault."""
    memory = shared_memory.create(10, 4096)
    try:
        with pytest.raises(PermissionError):
            os.ftruncate(memory, 0)
    finally:
        os.close(memory)


@pytest.mark.gpu
def test_logits_come_over_from_a_gpu(files: Make) -> None:
    """Bfloat16 logits stay on the GPU's side of both processes and are the same to the bit."""
    given = files(device="cuda")
    local = load_script(given.source).build_model(given.config).to("cuda")
    with RemoteModel(given) as remote:
        found = [logits.clone() for logits in answers(remote, questions(), "cuda", "bfloat16")]
    for mine, theirs in zip(answers(local.eval(), questions(), "cuda", "bfloat16"), found, strict=True):
        assert theirs.is_cuda
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)


def test_a_process_runs_none_of_the_agents_code_before_it_is_asked(files: Make) -> None:
    """It comes up beside another one that answers, and what it could hear there would be no honest score."""
    takes = "import fcntl, sys\nif 'server' in sys.argv[0]: fcntl.flock(held := open(__file__), fcntl.LOCK_EX)\n"
    given = files(f"{takes}{SCRIPT.read_text()}")
    with RemoteModel(given) as remote, given.source.open() as source:
        remote.start()
        time.sleep(3)
        fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(source, fcntl.LOCK_UN)
        remote.load()
        with pytest.raises(BlockingIOError):
            fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
