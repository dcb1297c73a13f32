"""When a training is ended from outside, by a clock that the tests set."""

import math
from dataclasses import dataclass

import pytest

from harness.watch import TrainingWatch


@dataclass
class Clock:
    """Seconds, as the test wants them."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def report(watch: TrainingWatch, *losses: float) -> None:
    for step, loss in enumerate(losses, start=1):
        watch.take(f"PROGRESS: step={step}, loss={loss:.4f}, tokens_per_second=1000")


def test_silence_is_a_stall_and_any_line_breaks_it() -> None:
    """Only more than the limit without any line ends a run; without a limit none does."""
    clock = Clock()
    watch, patient = TrainingWatch(60.0, 256, clock), TrainingWatch(None, 256, clock)
    clock.now += 60
    assert watch.fault() is None
    watch.take("compiling a kernel")
    clock.now += 60
    assert watch.fault() is None
    clock.now += 120
    fault = watch.fault()
    assert fault is not None
    assert (fault.reason, fault.message, fault.refunded) == ("stalled", "it printed nothing for 3 minutes", False)
    assert patient.fault() is None


def test_three_reports_above_an_untrained_loss_are_a_divergence() -> None:
    """One nat above the first loss, three times in a row; a report below begins the count anew."""
    watch = TrainingWatch(None, 256, Clock())
    report(watch, 6.0, 3.0, 7.1, 7.1, 6.9, 7.1, 7.1)
    assert watch.fault() is None
    report(watch, 9.5)
    fault = watch.fault()
    assert fault is not None
    assert (fault.reason, fault.refunded) == ("diverged", False)
    assert fault.message == "the training loss rose to 9.50; an untrained model's is 6.00"


@pytest.mark.parametrize(("first", "bad"), [(2.0, math.log(256) + 1.01), (40.0, 41.01)])
def test_an_untrained_loss_is_a_guess_at_least(first: float, bad: float) -> None:
    """A resumed run may rise to a guess before it counts; an unusual script is measured by its own first loss."""
    watch = TrainingWatch(None, 256, Clock())
    report(watch, first, *[bad - 0.02] * 5)
    assert watch.fault() is None
    report(watch, *[bad] * 3)
    assert watch.fault() is not None


def test_a_reason_stays_whatever_comes_after_it() -> None:
    """Lines that the killed process had still in its pipe do not turn its end into another one."""
    clock = Clock()
    diverged, stalled = TrainingWatch(60.0, 256, clock), TrainingWatch(60.0, 256, clock)
    report(diverged, 5.0, 9.0, 9.0, 9.0)
    clock.now += 61
    assert stalled.fault() is not None
    for watch, reason in ((diverged, "diverged"), (stalled, "stalled")):
        report(watch, 5.0)
        fault = watch.fault()
        assert fault is not None
        assert fault.reason == reason
