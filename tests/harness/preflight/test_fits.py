"""Predicted memory and hours."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from harness.preflight.fits import Measured, check_fit, predicted_hours, predicted_memory, use_kernels
from harness.preflight.found import CheckFailed
from harness.preflight.report import Room
from harness.preflight.subject import Subject

SETTINGS = SimpleNamespace(
    max_iters=100, micro_batch_size=8, gradient_accumulation_steps=4, eval_interval=50, eval_iters=3, block_size=16
)


def test_hours_are_steps_and_evaluations() -> None:
    """A window costs what it was measured to; workers share the windows and not the optimizer; a forward is a third."""
    measured = Measured(8, micro_seconds=0.8, optimizer_seconds=0.5, memory_bytes=1)
    alone = 100 * (4 * 0.8 + 0.5) + 2 * 3 * 0.8 / 3
    assert predicted_hours(measured, SETTINGS, workers=1) == pytest.approx(alone / 3600)
    shared = 100 * (2 * 0.8 + 0.5) + 2 * 3 * 0.4 / 3
    assert predicted_hours(measured, SETTINGS, workers=2) == pytest.approx(shared / 3600)


def test_memory_of_windows_that_were_not_measured_is_added() -> None:
    """A CPU that was asked for one window gets the other seven by arithmetic."""
    settings = SimpleNamespace(**vars(SETTINGS), vocab_size=10, n_layer=1, n_embd=4)
    assert predicted_memory(Measured(8, 1, 1, 1000), settings, on_gpu=False) == 1000
    one_window = 4 * 16 * (2 * 10 + 34 * 4)
    assert predicted_memory(Measured(1, 1, 1, 1000), settings, on_gpu=False) == 1000 + 7 * one_window


def test_a_script_of_a_task_of_its_own_needs_no_kernels() -> None:
    """Only the shipped script takes over linbench's kernels; one without them, or with others, runs as it is."""
    taken: list[str] = []
    use_kernels(SimpleNamespace(), "model")
    use_kernels(SimpleNamespace(Fused=SimpleNamespace()), "model")
    use_kernels(SimpleNamespace(Fused=SimpleNamespace(use_kernels=taken.append)), "model")
    assert taken == ["model"]


def test_a_small_run_fits_and_says_how_long_it_takes(subject: Callable[..., Subject]) -> None:
    """The figures are measured: seconds of a step, the peak memory of this process."""
    found = check_fit(subject(None), Room(hours=1.0))
    assert 0 < found.figures["hours"] < 0.5
    assert 10 * 2**20 < found.figures["memory_bytes"] < found.figures["capacity_bytes"]
    assert found.figures["micro_batch_size"] == 8
    assert "on this CPU, peak memory" in found.detail


def test_a_run_that_outlives_its_profile_is_refused(subject: Callable[..., Subject]) -> None:
    """The refusal has both times; a large micro-batch is measured by one window."""
    with pytest.raises(
        CheckFailed, match=r"about .* h on this CPU.*; the profile ends a training after 18 s"
    ) as failed:
        check_fit(subject(None, max_iters=10**8, micro_batch_size=10**6), Room(hours=0.005))
    assert failed.value.figures["micro_batch_size"] == 1


@pytest.mark.gpu
def test_a_micro_batch_that_is_too_large_is_halved_on_a_gpu(subject: Callable[..., Subject]) -> None:
    """Out of memory names the halved micro-batch: as a warning where the run halves by itself, else as the way out."""
    sizes = {"device": "cuda", "dtype": "bfloat16", "vocab_size": 50304, "block_size": 1024, "micro_batch_size": 4096}
    found = check_fit(subject(None, **sizes), Room(halve_micro_batch=True))
    assert found.figures["micro_batch_size"] < 4096
    assert "out of memory at micro-batches of 4096" in found.warnings[0]
    with pytest.raises(CheckFailed, match="--set micro_batch_size=2048 --set gradient_accumulation_steps=2"):
        check_fit(subject(None, **sizes), Room(halve_micro_batch=False))
