"""A line of progress on stderr: beside a bar on a terminal, printed now and then in a pipe."""

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class ProgressLine:
    """Shows the newest line; use it as a context, which the bar needs."""

    def __init__(self, title: str, plain_seconds: float):
        self.title, self.plain_seconds = title, plain_seconds
        self.began = self.shown = time.monotonic()
        self._bar: Bar | None = None

    def __enter__(self) -> "ProgressLine":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            title, line = TextColumn(self.title, markup=False), TextColumn("{task.fields[line]}", markup=False)
            self._bar = Progress(title, BarColumn(), line, console=Console(stderr=True), transient=True)
            self._bar.add_task(self.title, total=None, line="starting")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, line: str, fraction: float | None, *, last: bool = False) -> None:
        """Show a line and how much is done, 0 to 1; in a pipe only when the one before is some time ago, or it is last.

        fraction=None means that nobody knows.
        """
        now = time.monotonic()
        if self._bar is not None:
            total = None if fraction is None else 1.0
            self._bar.update(self._bar.task_ids[0], total=total, completed=fraction or 0.0, line=line)
        elif last or now - self.shown >= self.plain_seconds:
            self.shown = now
            self._print(f"{self.title}: {line}")

    def _print(self, line: str) -> None:
        try:
            print(line, file=sys.stderr, flush=True)
        except BrokenPipeError:  # as in `linbench test 2>&1 | head`: nobody reads on, and the work goes on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
