"""What `linbench data` answers, and the progress of a preparation on stderr."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.data.catalog import CatalogRow, catalog
from harness.data.errors import DataError
from harness.data.manifest import Manifest
from harness.data.prepare import prepare
from harness.data.progress import Progress
from harness.data.root import data_root
from sandbox.errors import UsageError
from sandbox.figures import short
from sandbox.progress_line import ProgressLine
from sandbox.report import Block, Facts, Heading, Paragraph, Report, Table

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
    at_hand = {"built-in": "built in", "generated": "made when used"}.get(row.entry.kind, "-")
    state = "prepared" if row.manifest is not None else at_hand
    return (row.name, row.entry.kind, state, tokens, row.entry.about)


def prepare_data(name: str, source: list[Path] | None, tokenizer: str | None, processes: int | None) -> Report:
    """Prepare a data set and describe it. Raises UsageError, in harness.data's own words."""
    with _explained(), ProgressLine(name, PLAIN_SECONDS) as line:
        manifest = prepare(name, source, tokenizer, processes, lambda progress: _show(line, progress))
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


def _show(line: ProgressLine, progress: Progress) -> None:
    """Put a preparation's report into a line."""
    speed = f"{progress.tokens / max(time.monotonic() - line.began, 1e-9):,.0f} tokens/s"
    share = "" if progress.fraction is None else f"{progress.fraction:.0%} of "
    counts = f"{progress.documents:,} documents, {progress.tokens:,} tokens"
    line.show(f"{share}{progress.stage}, {counts}, {speed}", progress.fraction)
