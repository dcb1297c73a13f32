"""How a preflight answers: through two files without a name, whose descriptors its process alone is given. Torch-free.

What is counted before any of the agent's code runs goes into the first, which is closed by then for good: nobody can
change it. The report goes into the second; no file of the run folder, and no other process of the sandbox, has a say.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import msgspec

from harness.preflight.report import MOST_REPORT_BYTES, Baseline, Report


@contextmanager
def answer_files() -> "Iterator[Answer]":
    """An answer for one child, gone afterwards."""
    with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as report:
        yield Answer(first, report)


class Answer(NamedTuple):
    """The parent's side."""

    first: BinaryIO
    last: BinaryIO

    @property
    def descriptors(self) -> tuple[int, int]:
        """For the child, in the order of `send_baseline` and `send_report`."""
        return self.first.fileno(), self.last.fileno()

    def report(self) -> Report | None:
        """What came; None where nothing did. Raises ValueError or RecursionError for what is no report."""
        self.first.seek(0)
        self.last.seek(0)
        baseline, content = self.first.read(MOST_REPORT_BYTES), self.last.read(MOST_REPORT_BYTES + 1)
        if not content:
            return None
        if len(content) > MOST_REPORT_BYTES:
            raise msgspec.DecodeError(f"it has more than {MOST_REPORT_BYTES:,} bytes")
        report = msgspec.json.decode(content, type=Report)
        first = msgspec.json.decode(baseline, type=Baseline | None) if baseline else None
        return msgspec.structs.replace(report, baseline=first)


def send_baseline(descriptor: int, baseline: Baseline | None) -> None:
    """Write what the baselines came to, and close the file, before the agent's code can ask for it."""
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(baseline))


def send_report(descriptor: int, report: Report) -> None:
    """Write the report over whatever somebody else has written there."""
    with os.fdopen(descriptor, "wb") as file:
        file.seek(0)
        file.truncate()
        file.write(msgspec.json.encode(report))
