"""How a running test is shown on stderr: a bar on a terminal, a plain line now and then in a pipe."""

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from harness.metrics import Progress, parse_progress
from sandbox.figures import duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

PLAIN_SECONDS = 15.0
"""Between two plain lines."""


class TrainingProgress:
    """Listens to the training process's lines; `startup_seconds` is when the first step was done."""

    def __init__(self, steps: int, title: str):
        self.steps, self.title = steps, title
        self.began = self.shown = time.monotonic()
        self.startup_seconds: float | None = None
        self._first: Progress | None = None
        self._bar: Bar | None = None

    def __enter__(self) -> "TrainingProgress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[line]}"))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.add_task(self.title, total=self.steps, line="starting")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def take(self, line: str) -> None:
        """Show a line of the training process's output, where it is one of progress."""
        progress = parse_progress(line)
        if progress is None:
            return
        now = time.monotonic()
        if self._first is None or self.startup_seconds is None:
            self.startup_seconds, self._first = now - self.began, progress
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=progress.step, line=self.describe(progress))
        elif now - self.shown >= PLAIN_SECONDS or progress.step >= self.steps:
            self.shown = now
            self._print(f"{self.title}: {self.describe(progress)}")

    def _print(self, line: str) -> None:
        try:
            print(line, file=sys.stderr, flush=True)
        except BrokenPipeError:  # as in `linbench test 2>&1 | head`: nobody reads on, and the test goes on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    def describe(self, progress: Progress) -> str:
        """Step, loss, speed and the time that is left at that speed."""
        left, done = self.steps - progress.step, progress.step - (self._first or progress).step
        elapsed = time.monotonic() - self.began - (self.startup_seconds or 0.0)
        eta = f", {duration(left * elapsed / done)} left" if done > 0 and left > 0 else ""
        speed = f"{progress.tokens_per_second:,.0f} tokens/s"
        return f"step {progress.step:,}/{self.steps:,}, loss {progress.loss:.4f}, {speed}{eta}"
