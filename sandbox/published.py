"""Published results: the rows of a task's published.csv, one method a row, one metric a column after name and kind."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from sandbox.errors import TaskError, nearest

Kind = Literal["baseline", "agent", "vanilla"]
KINDS: tuple[Kind, ...] = ("baseline", "agent", "vanilla")


class PublishedRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One published result."""

    name: str
    """The method or the agent."""
    kind: Kind
    """A baseline, an agent's chosen run, or an agent's first run taken as final."""
    metrics: dict[str, float]
    """By metric name; a metric that was not published is absent."""


def parse_published(text: str, metrics: Sequence[str], file: Path) -> tuple[PublishedRow, ...]:
    """Read the rows of `text`. Raises TaskError naming `file` and the line of the first mistake."""
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: list[PublishedRow] = []
    try:
        columns = next(reader, [])
        _check_columns(columns, metrics, file)
        for cells in reader:
            if cells:
                rows.append(_row(columns, cells, f"{file}: line {reader.line_num}", rows))
    except csv.Error as error:
        raise TaskError(f"{file}: line {reader.line_num}: {error}") from error
    return tuple(rows)


def _check_columns(columns: list[str], metrics: Sequence[str], file: Path) -> None:
    if columns[:2] != ["name", "kind"] or len(columns) < 3:
        raise TaskError(
            f"{file}: line 1: the columns are {','.join(columns)!r}, but must be name,kind and then metrics."
        )
    for column in columns[2:]:
        if column not in metrics:
            raise TaskError(f"{file}: line 1: {column!r} is not a metric of the task. {nearest(column, metrics)}")
        if columns.count(column) > 1:
            raise TaskError(f"{file}: line 1: the column {column!r} is given twice.")


def _row(columns: list[str], cells: list[str], where: str, before: list[PublishedRow]) -> PublishedRow:
    if len(cells) != len(columns):
        raise TaskError(f"{where}: {len(cells)} cells, but there are {len(columns)} columns.")
    name, kind, *values = cells
    if kind not in KINDS:
        raise TaskError(f"{where}: {kind!r} is not a kind. {nearest(kind, KINDS)}")
    if any((row.name, row.kind) == (name, kind) for row in before):
        raise TaskError(f"{where}: {name} as {kind} is given twice.")
    numbers = {
        metric: _number(value, f"{where}: {metric}") for metric, value in zip(columns[2:], values, strict=True) if value
    }
    return PublishedRow(name, kind, numbers)


def _number(cell: str, where: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise TaskError(f"{where}: {cell!r} is not a finite number.")
    return number
