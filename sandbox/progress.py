"""How a running test is shown on stderr: step, loss, speed and the time that is left."""

import time

from harness.metrics import Progress, parse_progress
from sandbox.figures import duration
from sandbox.progress_line import ProgressLine

PLAIN_SECONDS = 15.0
"""Between two plain lines."""


class TrainingProgress:
    """Listens to the training process's lines; `startup_seconds` is when the first step was done."""

    def __init__(self, steps: int, title: str):
        self.steps = steps
        self.startup_seconds: float | None = None
        self._first: Progress | None = None
        self._line = ProgressLine(title, PLAIN_SECONDS)

    def __enter__(self) -> "TrainingProgress":
        self._line.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._line.__exit__(*error)

    def take(self, line: str) -> None:
        """Show a line of the training process's output, where it is one of progress."""
        progress = parse_progress(line)
        if progress is None:
            return
        if self._first is None or self.startup_seconds is None:
            self.startup_seconds, self._first = time.monotonic() - self._line.began, progress
        share = progress.step / self.steps
        self._line.show(self.describe(progress), share, last=progress.step >= self.steps)

    def describe(self, progress: Progress) -> str:
        """Step, loss, speed and the time that is left at that speed."""
        left, done = self.steps - progress.step, progress.step - (self._first or progress).step
        elapsed = time.monotonic() - self._line.began - (self.startup_seconds or 0.0)
        eta = f", {duration(left * elapsed / done)} left" if done > 0 and left > 0 else ""
        speed = f"{progress.tokens_per_second:,.0f} tokens/s"
        return f"step {progress.step:,}/{self.steps:,}, loss {progress.loss:.4f}, {speed}{eta}"
