"""Watches a training process's lines for two ends that it does not see itself: it stalls, or it diverges."""

import time
from collections.abc import Callable

from harness.faults import Fault
from harness.metrics import parse_progress

DIVERGED_NATS = 1.0
"""A loss so far above that of the first step is worse than an untrained model's guess."""

DIVERGED_REPORTS = 3
"""So many progress lines in a row, for one bad batch is no divergence."""


class TrainingWatch:
    """Hand it every line; `fault` says why the run has to end, None while it may go on."""

    def __init__(self, stall_seconds: float | None, clock: Callable[[], float] = time.monotonic):
        self.stall_seconds, self.clock = stall_seconds, clock
        self.heard = clock()
        self.first_loss: float | None = None
        self.loss = 0.0
        self.bad_reports = 0

    def take(self, line: str) -> None:
        """Note a line of the process's output."""
        self.heard = self.clock()
        progress = parse_progress(line)
        if progress is None:
            return
        self.loss = progress.loss
        if self.first_loss is None:
            self.first_loss = progress.loss
        self.bad_reports = self.bad_reports + 1 if progress.loss > self.first_loss + DIVERGED_NATS else 0

    def fault(self) -> Fault | None:
        """Why the run has to end now."""
        if self.bad_reports >= DIVERGED_REPORTS:
            return Fault(
                "diverged", f"the training loss rose from {self.first_loss:.2f} at the first step to {self.loss:.2f}"
            )
        silent = self.clock() - self.heard
        if self.stall_seconds is not None and silent > self.stall_seconds:
            return Fault("stalled", f"it printed nothing for {silent / 60:.0f} minutes")
        return None
