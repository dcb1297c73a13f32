"""A run that finds no memory, in a real training process: smaller micro-batches, the same test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.run_config import RunConfig
from sandbox.discovery import find

Linbench = Callable[..., Any]
TinyRun = Callable[..., list[str]]

LINE = "x = x + self.mlp(self.ln_2(x))"


@pytest.fixture
def split_of(runs: Path) -> Callable[[int], tuple[int, int, int]]:
    """How a test of the newest session shares its batch: micro-batch, accumulation, evaluated micro-batches."""

    def read(test: int) -> tuple[int, int, int]:
        run = msgspec.json.decode(find(None, runs, or_closed=True).folder.test(test).run.read_bytes(), type=RunConfig)
        return run.micro_batch_size, run.gradient_accumulation_steps, run.eval_iters

    return read


def test_a_run_without_memory_goes_on_with_smaller_micro_batches(
    linbench: Linbench, split_of: Callable[[int], tuple[int, int, int]], lawless: Path, tiny_run: TinyRun
) -> None:
    """Out of memory, it halves them: same hash, tokens and loss. Killed and resumed, or scored again, it keeps them."""
    linbench("start", lawless, "--tests", "2")
    six_steps = tiny_run(micro_batch_size=4, max_iters=6, eval_interval=3, checkpoint_interval=3)
    whole = linbench("test", *six_steps, "--json").json
    assert split_of(1) == (4, 1, 2)
    scarce = f"""if x.shape[0] > 2:
            raise torch.OutOfMemoryError('too much')
        if os.path.exists('ckpt.pt') and not os.path.exists('killed'):
            open('killed', 'w').close()
            os.kill(os.getpid(), 9)
        {LINE}"""
    assert linbench("edit", "--old", LINE, "--new", scarce).code == 0
    killed = linbench("test", *six_steps, "--json")
    assert (killed.code, killed.json["error"]["run"]) == (6, "linbench test --resume")
    assert "trying micro-batches of 2." in killed.err
    assert split_of(2) == (2, 2, 4)
    done = linbench("test", "--resume", "--json")
    assert "trying micro-batches" not in done.err
    assert done.json["metrics"]["val_loss"] == pytest.approx(whole["metrics"]["val_loss"], abs=1e-4)
    assert done.json["config_sha256"] == whole["config_sha256"]
    assert done.json["facts"]["tokens"] == whole["facts"]["tokens"] == 6 * 4 * 32
    assert linbench("sample", "2", "--tokens", "3").code == 0
    assert split_of(2) == (2, 2, 4)
