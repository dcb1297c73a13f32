"""What `linbench data` answers, and the progress of a preparation on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from harness.data.catalog import CatalogRow, catalog
from harness.data.errors import DataError
from harness.data.manifest import Manifest
from harness.data.prepare import prepare
from harness.data.progress import Progress
from harness.data.root import data_root
from sandbox.errors import UsageError
from sandbox.figures import short
from sandbox.report import Block, Facts, Heading, Paragraph, Report, Table

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

PLAIN_SECONDS = 5.0
"""Between two plain progress lines."""


def data_report() -> Report:
    """The known data sets and the user's own."""
    with _explained():
        found = catalog()
    missing = [row for row in found if not row.prepared and row.entry.wants]
    wanted = "\n".join(f"{row.name}: {row.entry.wants}\n    from {row.entry.where}" for row in missing)
    blocks: list[Block] = [
        Heading(f"Data sets in {data_root()}"),
        Table(("data set", "what", "state", "tokens", "about"), tuple(map(_row, found)), frozenset({"tokens"})),
    ]
    if wanted:
        blocks.append(Paragraph(f"Files that the others want, where there is no network:\n{wanted}"))
    blocks.append(Facts((("next", "linbench data prepare NAME --source FOLDER"),)))
    rows = [
        {**msgspec.to_builtins(row.entry), "prepared": row.prepared, "tokens": row.tokens, "folder": str(row.folder)}
        for row in found
    ]
    return Report({"root": str(data_root()), "data_sets": rows}, tuple(blocks))


def _row(row: CatalogRow) -> tuple[str, ...]:
    tokens = f"{row.tokens:,}" if row.tokens else "-"
    state = "built in" if row.entry.kind == "built-in" else "prepared" if row.prepared else "-"
    return (row.name, row.entry.kind, state, tokens, row.entry.about)


def prepare_data(name: str, source: list[Path] | None, tokenizer: str | None, processes: int | None) -> Report:
    """Prepare a data set and describe it. Raises UsageError, in harness.data's own words."""
    with _explained(), _Shown(name) as shown:
        manifest = prepare(name, source, tokenizer, processes, shown.take)
    splits = manifest.splits.items()
    rows = tuple((split, f"{found.documents:,}", f"{found.tokens:,}", str(len(found.files))) for split, found in splits)
    blocks = (
        Heading(f"OK: {name} is prepared in {data_root() / name}."),
        Table(("split", "documents", "tokens", "files"), rows, frozenset({"documents", "tokens", "files"})),
        Facts((("tokenizer", manifest.tokenizer or "-"), ("sha256", short(manifest.sha256)))),
    )
    return Report(_data(manifest), blocks)


def _data(manifest: Manifest) -> dict[str, object]:
    found = msgspec.to_builtins(manifest)
    assert isinstance(found, dict)
    return found


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise UsageError(error.message, run=error.run or "linbench data list") from error


class _Shown:
    """A preparation's progress on stderr: a bar on a terminal, a plain line every few seconds in a pipe."""

    def __init__(self, name: str):
        self.name = name
        self.shown = self.began = time.monotonic()
        self._bar: Bar | None = None

    def __enter__(self) -> "_Shown":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (
                TextColumn(self.name, markup=False),
                BarColumn(),
                TextColumn("{task.fields[line]}", markup=False),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.add_task(self.name, total=None, line="starting")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def take(self, progress: Progress) -> None:
        """Show a report: at once on a terminal, in a pipe when the last one is some time ago."""
        now = time.monotonic()
        speed = f"{progress.tokens / max(now - self.began, 1e-9):,.0f} tokens/s"
        line = f"{progress.stage}, {progress.documents:,} documents, {progress.tokens:,} tokens, {speed}"
        if self._bar is not None:
            total = None if progress.fraction is None else 1.0
            self._bar.update(self._bar.task_ids[0], total=total, completed=progress.fraction or 0.0, line=line)
        elif now - self.shown >= PLAIN_SECONDS:
            self.shown = now
            share = "" if progress.fraction is None else f"{progress.fraction:.0%} of "
            print(f"{self.name}: {share}{line}", file=sys.stderr, flush=True)
