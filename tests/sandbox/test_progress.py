"""What a test's progress looks like in a pipe, and that watching it never harms the test."""

import os
import sys

import pytest

from sandbox import progress
from sandbox.progress import TrainingProgress


def line(step: int, loss: str = "5.0", speed: str = "1000.0") -> str:
    return f"PROGRESS: step={step}, loss={loss}, tokens_per_second={speed}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, that TrainingProgress sees; tests move it on."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_pipe_gets_a_line_now_and_then_and_the_last(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """Of a hundred steps a second apart, one line every fifteen seconds and the last are printed, on stderr."""
    with TrainingProgress(100, "test 1") as watching:
        for step in range(1, 101):
            clock[0] += 1
            watching.take(line(step))
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert [text.split(",")[0] for text in lines] == [
        *(f"test 1: step {step}/100" for step in (15, 30, 45, 60, 75, 90, 100))
    ]
    assert lines[0] == "test 1: step 15/100, loss 5.0000, 1,000 tokens/s, 1 min 25 s left"
    assert lines[-1].endswith("tokens/s")


def test_a_resumed_training_estimates_from_its_own_steps(clock: list[float]) -> None:
    """What was trained before the interruption counts neither as done nor as time in the estimate."""
    with TrainingProgress(100, "test 1") as watching:
        clock[0] = 40.0
        watching.take(line(80))
        clock[0] = 50.0
        watching.take(line(90))
        assert watching.startup_seconds == 40.0
        found = progress.parse_progress(line(90))
        assert found is not None
        assert watching.describe(found).endswith("10.0 s left")


def test_lines_that_are_no_progress_are_passed_over(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever else a training prints, figures that are none among it, shows nothing and fails nothing."""
    with TrainingProgress(10, "test 1") as watching:
        for text in ("", "hello", line(1)[:-3] + "x.y", "PROGRESS: step=-1", line(3, loss="1.2.3")):
            clock[0] += 60
            watching.take(text)
        assert watching.startup_seconds is None
        watching.take(line(5, loss="nan", speed="inf"))
    assert capsys.readouterr().err == "test 1: step 5/10, loss nan, inf tokens/s\n"


def test_a_reader_that_leaves_does_not_stop_the_test(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """After `linbench test 2>&1 | head` has gone, progress is no longer printed and nothing is raised."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", buffering=1) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with TrainingProgress(10, "test 1") as watching:
            for step in range(1, 11):
                clock[0] += 60
                watching.take(line(step))
