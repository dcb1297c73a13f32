"""Watches a training process's lines for two ends that it does not see itself: it stalls, or it diverges."""

import math
import time
from collections.abc import Callable

from harness.faults import Fault
from harness.metrics import parse_progress

DIVERGED_NATS = 1.0
"""A loss so far above an untrained model's has lost what was learned, and more."""

DIVERGED_REPORTS = 3
"""So many progress lines in a row, for one bad batch is no divergence."""


class TrainingWatch:
    """Hand it every line; `fault` says why the run has to end, None while it may go on.

    An untrained model's loss is the first one reported, and at least that of a guess among `vocab_size` tokens: a
    resumed run begins with a lower one.
    """

    def __init__(
        self, stall_seconds: float | None, vocab_size: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stall_seconds, self.clock = stall_seconds, clock
        self.guess = math.log(vocab_size)
        self.heard = clock()
        self.untrained: float | None = None
        self.bad_reports = 0
        self.found: Fault | None = None

    def take(self, line: str) -> None:
        """Note a line of the process's output."""
        self.heard = self.clock()
        progress = parse_progress(line)
        if progress is None:
            return
        if self.untrained is None:
            self.untrained = max(progress.loss, self.guess)
        self.bad_reports = self.bad_reports + 1 if progress.loss > self.untrained + DIVERGED_NATS else 0
        if self.bad_reports == DIVERGED_REPORTS:
            message = f"the training loss rose to {progress.loss:.2f}; an untrained model's is {self.untrained:.2f}"
            self.found = self.found or Fault("diverged", message)

    def fault(self) -> Fault | None:
        """Why the run has to end now; it stays, whatever the dying process still prints."""
        silent = self.clock() - self.heard
        if self.found is None and self.stall_seconds is not None and silent > self.stall_seconds:
            self.found = Fault("stalled", f"it printed nothing for {silent / 60:.0f} minutes")
        return self.found
