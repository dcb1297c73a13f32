"""The ranking of a task: published rows, and local rows in groups of equal conditions; no rank crosses a group.

A row is made once, when a test is submitted, and stands in the session's ledger from then on.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from sandbox.errors import LedgerDamaged
from sandbox.figures import ABSENT, day, metric_cells, metric_names, short
from sandbox.published import Kind
from sandbox.report import Block, Heading, Paragraph, Report, Table
from sandbox.state import SessionState
from sandbox.tasks import LoadedTask
from sandbox.untouched import may_be_submitted


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One submitted test."""

    task: str
    """The task's id."""
    name: str
    """The agent, or the baseline's name."""
    kind: Kind
    metrics: dict[str, float]
    session: str
    test: int
    submitted: str
    """ISO 8601, UTC."""
    profile: str
    seed: int
    data_sha256: str
    """Of the data set that it was trained and scored on."""
    conditions_sha256: str
    """Of the script around the regions, the override keys, and the run config without its seed."""
    source_sha256: str
    """Of the tested script."""


class Ranked(NamedTuple):
    """A row's place in its group."""

    rank: int | None
    """From 1; equal values share a rank; None without the primary metric."""
    name: str
    kind: Kind
    metrics: dict[str, float]
    row: Row | None
    """None for a published row."""


class Ranking(NamedTuple):
    """Rows that may be compared with each other."""

    label: str
    source: str
    """Who published the rows, or "local"."""
    profile: str
    ranked: tuple[Ranked, ...]


def make_row(state: SessionState, test: int, submitted: str) -> Row:
    """The leaderboard's row of a finished test, as it goes into the ledger with `msgspec.to_builtins`."""
    tested, start = state.tests[test], state.start
    assert tested.metrics is not None, f"test {test} is {tested.status}"
    assert tested.facts is not None, f"test {test} is {tested.status}"
    return Row(
        task=start.task.task.id,
        name=start.agent,
        kind=start.kind,
        metrics=tested.metrics,
        session=start.session,
        test=test,
        submitted=submitted,
        profile=tested.profile,
        seed=tested.seed,
        data_sha256=tested.facts["data_sha256"],
        conditions_sha256=_conditions_sha256(start.task, tested.config),
        source_sha256=tested.source_sha256,
    )


def _conditions_sha256(loaded: LoadedTask, config: dict[str, Any]) -> str:
    """Hash of all that two rows must share: a folder with a task's id but another script does not join its ranking."""
    regions = [(region.first, region.last, region.kind) for region in loaded.task.regions]
    run = {key: value for key, value in config.items() if key != "seed"}
    conditions = (loaded.template, regions, loaded.task.overrides, run)
    return hashlib.sha256(msgspec.json.encode(conditions, order="sorted")).hexdigest()


def rows_of(states: Iterable[SessionState], task: str) -> list[Row]:
    """The rows of the closed sessions on a task; a run of the untouched template has none, whatever its ledger says.

    Raises LedgerDamaged for a row that no submit could have written.
    """
    rows = []
    for state in states:
        if state.start.task.task.id != task or state.submitted is None or state.row is None:
            continue
        if may_be_submitted(state, state.tests[state.submitted]):
            try:
                rows.append(msgspec.convert(state.row, Row))
            except msgspec.ValidationError as error:
                raise LedgerDamaged(f"Session {state.start.session}: its submitted row is not one: {error}.") from error
    return rows


def rank(loaded: LoadedTask, rows: Iterable[Row]) -> tuple[Ranking, ...]:
    """The published ranking, then one a group of equal profile, data and conditions, the newest group first."""
    rankings = []
    if loaded.task.published is not None and loaded.published:
        origin = loaded.task.published
        seed = "" if origin.seed is None else f", seed {origin.seed}"
        published = [Ranked(None, row.name, row.kind, row.metrics, None) for row in loaded.published]
        label = f"published by {origin.source}, {origin.profile}{seed}"
        rankings.append(Ranking(label, origin.source, origin.profile, _ranked(loaded, published)))
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.submitted, reverse=True):
        groups.setdefault((row.profile, row.data_sha256, row.conditions_sha256), []).append(row)
    for (profile, data, conditions), members in groups.items():
        local = [Ranked(None, row.name, row.kind, row.metrics, row) for row in reversed(members)]
        label = f"local, {profile}, data {short(data)}, conditions {short(conditions)}"
        rankings.append(Ranking(label, "local", profile, _ranked(loaded, local)))
    return tuple(rankings)


def _ranked(loaded: LoadedTask, rows: Sequence[Ranked]) -> tuple[Ranked, ...]:
    primary = loaded.task.primary
    sign = 1 if primary.direction == "min" else -1
    scored = sorted(
        (row for row in rows if primary.name in row.metrics), key=lambda row: sign * row.metrics[primary.name]
    )
    values = [row.metrics[primary.name] for row in scored]
    placed = [row._replace(rank=values.index(value) + 1) for row, value in zip(scored, values, strict=True)]
    return (*placed, *(row for row in rows if primary.name not in row.metrics))


def leaderboard_report(loaded: LoadedTask, rows: Iterable[Row]) -> Report:
    """The leaderboard of a task."""
    rankings = rank(loaded, rows)
    blocks: list[Block] = [Heading(f"Leaderboard of {loaded.task.id}")]
    for ranking in rankings:
        blocks += [Heading(ranking.label), _table(loaded, ranking)]
    if len(rankings) > 1:
        blocks.append(
            Paragraph("Rows are ranked within their group only: other groups differ in profile, data or settings.")
        )
    if all(ranking.source != "local" for ranking in rankings):
        blocks.append(Paragraph("No local row yet. Next: linbench submit N makes a finished test one."))
    data = {"task": loaded.task.id, "primary": loaded.task.primary.name, "groups": list(map(_data, rankings))}
    return Report(data, tuple(blocks))


def published_table(loaded: LoadedTask) -> list[Block]:
    """The published rows with their source; nothing where a task has none."""
    return [block for ranking in rank(loaded, []) for block in (Heading(ranking.label), _table(loaded, ranking))]


def _data(ranking: Ranking) -> dict[str, Any]:
    rows = [
        {"rank": row.rank, "name": row.name, "kind": row.kind, "metrics": row.metrics, **_origin(row.row)}
        for row in ranking.ranked
    ]
    return {"label": ranking.label, "source": ranking.source, "profile": ranking.profile, "rows": rows}


_ORIGIN = ("session", "test", "submitted", "seed", "data_sha256", "conditions_sha256", "source_sha256")


def _origin(row: Row | None) -> dict[str, Any]:
    return {} if row is None else {key: getattr(row, key) for key in _ORIGIN}


def _table(loaded: LoadedTask, ranking: Ranking) -> Table:
    measured = {name for row in ranking.ranked for name in row.metrics}
    names = tuple(name for name in metric_names(loaded.task) if name in measured)
    local = ("session", "date") if ranking.source == "local" else ()
    rows = tuple(
        (
            ABSENT if row.rank is None else str(row.rank),
            row.name,
            row.kind,
            *metric_cells(row.metrics, names),
            *(() if row.row is None else (row.row.session, day(row.row.submitted))),
        )
        for row in ranking.ranked
    )
    return Table(("rank", "name", "kind", *names, *local), rows, frozenset({"rank", *names}))


def leaderboard_csv(loaded: LoadedTask, rows: Iterable[Row]) -> str:
    """The leaderboard as one table of comma-separated values, with its groups told apart by their first columns."""
    names = metric_names(loaded.task)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["group", "source", "profile", "rank", "name", "kind", *names, *_ORIGIN])
    for number, ranking in enumerate(rank(loaded, rows), start=1):
        for row in ranking.ranked:
            origin = _origin(row.row)
            metrics = [row.metrics.get(name, "") for name in names]
            place = "" if row.rank is None else row.rank
            group = [number, ranking.source, ranking.profile]
            writer.writerow([*group, place, row.name, row.kind, *metrics, *(origin.get(key, "") for key in _ORIGIN)])
    return lines.getvalue()
