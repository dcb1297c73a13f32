"""What a training process says about its progress: lines on its output and lines in metrics.jsonl. Torch-free."""

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.files import IrregularFile, read_regular

MOST_BYTES = 64 * 2**20
"""Of a metrics.jsonl; a million lines are more than any run writes."""

MOST_STEPS = 10**12
"""Of any run; a script could print a number that is none of this world."""

_PROGRESS = re.compile(r"PROGRESS: step=(?P<step>\d+), loss=(?P<loss>[-\w.]+), tokens_per_second=(?P<speed>[-\w.]+)")


class Evaluation(msgspec.Struct, frozen=True):
    """One line of metrics.jsonl. Written by the process that runs the agent's code: progress, not a score."""

    step: int
    train_loss: float
    """Nats a token, mean since the line before."""
    val_loss: float
    """Nats a token, on held-out training text."""
    seconds: float
    """Training time so far, evaluations left out."""
    tokens: int
    """Training tokens so far."""
    tokens_per_second: float
    peak_memory_bytes: int | None = None
    """Of the first GPU; None on a CPU."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One progress line."""

    step: int
    loss: float
    tokens_per_second: float


def parse_progress(line: str) -> Progress | None:
    """The progress that a line of output states; None for any other line."""
    found = _PROGRESS.fullmatch(line)
    if found is None:
        return None
    try:
        step, loss, speed = int(found["step"]), float(found["loss"]), float(found["speed"])
    except ValueError:
        return None
    return Progress(step, loss, speed) if step <= MOST_STEPS else None


def read_evaluations(path: Path) -> list[Evaluation]:
    """The evaluations in a metrics.jsonl in order; lines that are none, as a torn last one, are passed over.

    A path that holds no plain file, or too much, has none; whether the run may go on then is not said here.
    """
    try:
        content = read_regular(path, MOST_BYTES)
    except (FileNotFoundError, IrregularFile):
        return []
    found = []
    for line in content.splitlines():
        try:
            found.append(msgspec.json.decode(line, type=Evaluation))
        except (ValueError, RecursionError):
            continue
    return found


def metric_name(metric: str, profile: str) -> str:
    """The published name of a metric: `val_loss_gpt-345m`, `arc_easy_lm-eval-345m`."""
    downstream = {"arc_easy", "hellaswag", "piqa", "winogrande"}
    if metric in downstream:
        return f"{metric}_lm-eval-{profile.removeprefix('gpt-')}"
    return f"{metric}_{profile}"
