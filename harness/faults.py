"""Why a run ended without a result: a pure reading of its exit and its last lines into one typed reason.

Faults of the machine are refunded. The agent's code could claim one by printing it, so what can be measured in the
parent (the free disk) is measured there.
"""

import re
import signal
from dataclasses import dataclass
from typing import Literal

from harness.launch import Exit

Reason = Literal[
    "error",
    "non_finite_loss",
    "diverged",
    "out_of_memory",
    "timeout",
    "stalled",
    "over_limit",
    "crashed",
    "killed",
    "disk_full",
    "evaluation_not_started",
    "irregular_file",
]

REFUNDED: frozenset[Reason] = frozenset({"killed", "disk_full", "evaluation_not_started"})
"""The machine's faults."""

DISK_FULL_BYTES = 256 * 2**20
"""Less free than this, and a claim that the disk was full is believed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A typed reason and the sentence that a reply gives for it."""

    reason: Reason
    message: str

    @property
    def refunded(self) -> bool:
        """Whether the machine is to blame."""
        return self.reason in REFUNDED


def classify(ended: Exit, *, free_disk_bytes: int) -> Fault | None:
    """The fault behind an exit; None when the process ended well."""
    if ended.over is not None:
        return Fault("over_limit", ended.over)
    if ended.timed_out:
        return Fault("timeout", f"it was still running at its time limit, after {_duration(ended.seconds)}")
    if ended.returncode == 0:
        return None
    if ended.returncode < 0:
        return _from_signal(-ended.returncode)
    if ended.returncode == 128 + signal.SIGTERM:
        return Fault("killed", "it was asked to stop by SIGTERM, and saved its checkpoint")
    last = last_error(ended.tail)
    if "No space left on device" in ended.tail and free_disk_bytes < DISK_FULL_BYTES:
        return Fault("disk_full", "the disk is full")
    if "OutOfMemoryError" in last or "out of memory" in last.lower():
        return Fault("out_of_memory", last)
    if last.startswith("FloatingPointError"):
        return Fault("non_finite_loss", last.partition(": ")[2])
    return Fault("error", last or f"it exited with code {ended.returncode}")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 600 else f"{seconds / 3600:.2f} hours"


def _from_signal(number: int) -> Fault:
    names = {known.value: known.name for known in signal.Signals}  # most real-time signals have no name
    name = names.get(number, f"signal {number}")
    if number in {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP}:
        return Fault("killed", f"it was killed from outside by {name}")
    return Fault("crashed", f"it crashed with {name}")


_EXCEPTION = re.compile(r"(?:(?:[\w<>]+\.)+\w+|[A-Z]\w*)(?:: .*)?")


def last_error(tail: str) -> str:
    """The line below the last traceback, as `Type: message`; empty where there is none."""
    lines = tail.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    after = lines[starts[-1] + 1 :] if starts else []
    return next((line for line in after if _EXCEPTION.fullmatch(line)), "")
