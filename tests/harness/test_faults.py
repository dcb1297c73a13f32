"""Reasons why a run ended, from real exits of real processes."""

import sys
from pathlib import Path

import pytest

from harness.faults import REFUNDED, Fault, classify, last_error
from harness.launch import Exit, exclusive, run_child

PLENTY = 2**40


def end(folder: Path, code: str, timeout_seconds: float | None = None, free_disk_bytes: int = PLENTY) -> Fault | None:
    with exclusive(folder / ".lock") as lock:
        command = [sys.executable, "-P", "-c", code]
        ended = run_child(
            command, folder=folder, log=folder / "log", lock=lock, device="cpu", timeout_seconds=timeout_seconds
        )
    return classify(ended, free_disk_bytes=free_disk_bytes)


FULL = "with open('/dev/full', 'w') as file: file.write('x')"


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        ("raise ValueError('no such head')", "error", "ValueError: no such head"),
        ("import sys; sys.exit(3)", "error", "it exited with code 3"),
        ("raise FloatingPointError('the loss became nan')", "non_finite_loss", "the loss became nan"),
        ("raise MemoryError", "error", "MemoryError"),
        ("raise RuntimeError('CUDA error: out of memory')", "out_of_memory", "RuntimeError: CUDA error: out of memory"),
        ("import os; os.kill(os.getpid(), 11)", "crashed", "it crashed with SIGSEGV"),
        ("import os; os.kill(os.getpid(), 40)", "crashed", "it crashed with signal 40"),
        ("import os; os.abort()", "crashed", "it crashed with SIGABRT"),
        ("import os; os.kill(os.getpid(), 9)", "killed", "it was killed from outside by SIGKILL"),
        ("import sys; sys.exit(143)", "killed", "it was asked to stop by SIGTERM, and saved its checkpoint"),
        (FULL, "error", "OSError: [Errno 28] No space left on device"),
    ],
)
def test_each_way_to_end_has_its_reason(tmp_path: Path, code: str, reason: str, message: str) -> None:
    """Exceptions, exits and signals become a typed reason and a sentence; a claim of a full disk is not believed."""
    assert end(tmp_path, code) == Fault(reason, message)  # type: ignore[arg-type]


def test_a_good_end_has_no_fault(tmp_path: Path) -> None:
    """Exit code 0 is no fault, whatever was printed."""
    assert end(tmp_path, "print('Traceback (most recent call last)'); print('ValueError: x')") is None


def test_a_disk_that_is_full_is_the_machines_fault(tmp_path: Path) -> None:
    """The same exception counts as a full disk where the parent, too, finds no room."""
    fault = end(tmp_path, FULL, free_disk_bytes=1000)
    assert fault == Fault("disk_full", "the disk is full")
    assert fault.refunded


def test_a_timeout_says_how_long_it_was(tmp_path: Path) -> None:
    """A process at its limit is a timeout, in seconds or hours as they fit."""
    fault = end(tmp_path, "import time; time.sleep(60)", timeout_seconds=0.6)
    assert fault == Fault("timeout", "it was still running at its time limit, after 1 seconds")
    fault = classify(Exit(-9, True, 1800.0, ""), free_disk_bytes=PLENTY)
    assert fault == Fault("timeout", "it was still running at its time limit, after 0.50 hours")


def test_only_the_machines_faults_are_refunded() -> None:
    """What the agent's code can do to itself is spent."""
    assert {"killed", "disk_full", "evaluation_not_started"} == REFUNDED
    assert not Fault("crashed", "").refunded


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        ("", ""),
        ("ValueError: printed, not raised", ""),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'\nKeyError: later", "KeyError: 'a'"),
        (
            "Traceback (most recent call last):\n  x\nKeyError: 1\n\nDuring handling:\n\n"
            "Traceback (most recent call last):\n  y\ntorch.OutOfMemoryError: CUDA\nmore",
            "torch.OutOfMemoryError: CUDA",
        ),
        ("Traceback (most recent call last):\n  x\nstruct.error: bad", "struct.error: bad"),
        ("Traceback (most recent call last):\n  x\n__main__.f.<locals>.Odd: bad", "__main__.f.<locals>.Odd: bad"),
        ("Traceback (most recent call last):\n  x\nPROGRESS: cut off", "PROGRESS: cut off"),
    ],
)
def test_the_last_error_is_the_line_below_the_last_traceback(tail: str, error: str) -> None:
    """Of several exceptions the last counts, in a module, in a function or with a lower-case name."""
    assert last_error(tail) == error
