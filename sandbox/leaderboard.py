"""The leaderboard in its three forms: text, JSON and comma-separated values."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from sandbox.figures import ABSENT, day, metric_cells, metric_names, number
from sandbox.ranking import Ranked, Ranking, rank
from sandbox.report import Block, Heading, Paragraph, Report, Table
from sandbox.row import Row
from sandbox.seeds import Spread, spreads
from sandbox.tasks import LoadedTask

_ORIGIN = (
    *("session", "test", "submitted", "seed", "resumes", "isolation", "warnings", "scoring_version"),
    *("data_sha256", "conditions_sha256", "source_sha256", "harness_sha256"),
)
"""What a local row says beyond a published one."""

LIKE_BASELINE = "~"
"""Stands after the name of a row that cannot be told from a baseline."""


def leaderboard_report(loaded: LoadedTask, rows: Iterable[Row]) -> Report:
    """The leaderboard of a task."""
    rankings = rank(loaded, rows)
    blocks: list[Block] = [Heading(f"Leaderboard of {loaded.task.id}")]
    for ranking in rankings:
        blocks += _blocks(loaded, ranking)
    if len(rankings) > 1:
        blocks.append(
            Paragraph("Rows are ranked within their group only: other groups differ in profile, data or settings.")
        )
    if all(ranking.source != "local" for ranking in rankings):
        blocks.append(Paragraph("No local row yet.\nnext: linbench submit N makes a finished test one."))
    data = {"task": loaded.task.id, "primary": loaded.task.primary.name, "groups": list(map(_data, rankings))}
    return Report(data, tuple(blocks))


def published_table(loaded: LoadedTask) -> list[Block]:
    """The published rows with their source; nothing where a task has none."""
    return [block for ranking in rank(loaded, []) for block in _blocks(loaded, ranking)]


def _blocks(loaded: LoadedTask, ranking: Ranking) -> list[Block]:
    legend = _legend(ranking)
    return [Heading(ranking.label), _table(loaded, ranking), *([Paragraph(legend)] if legend else [])]


def _legend(ranking: Ranking) -> str:
    """What the column `norm` and the marks of a group mean."""
    lines, metric = [], ranking.metric
    if metric in ranking.anchors:
        worst, best, bound = map(number, ranking.anchors[metric])
        scale = f"worst {worst} is 0, best {best} is 0.5, the bound {bound} is 1"
        lines.append(f"norm: {metric} on the scale of {ranking.anchored_by}: {scale}.")
    told = [
        f"{LIKE_BASELINE} {row.name} cannot be told from {', '.join(row.like)}." for row in ranking.ranked if row.like
    ]
    lines += told
    if told and ranking.noise is not None:
        lines.append(f"Another seed alone moves {metric} by {ranking.noise:g} (one standard deviation).")
    return "\n".join([*lines, *(_remark(row.row) for row in ranking.ranked if row.row and _remark(row.row))])


def _remark(row: Row) -> str:
    """What a reader of a row's figures may want to know."""
    resumed = [f"resumed {row.resumes} time(s)"] if row.resumes else []
    remarks = [*resumed, *row.warnings]
    return f"{row.name}, {row.session}: {'; '.join(remarks)}." if remarks else ""


def _data(ranking: Ranking) -> dict[str, Any]:
    rows = [
        {
            "rank": row.rank,
            "name": row.name,
            "kind": row.kind,
            "metrics": row.metrics,
            "normalised": row.normalised,
            "like_baselines": None if row.like is None else list(row.like),
            "by_seed": {} if row.row is None else row.row.by_seed,
            "spread": {name: found._asdict() for name, found in _spreads(row).items()},
            **_origin(row.row),
        }
        for row in ranking.ranked
    ]
    anchors = {name: found._asdict() for name, found in ranking.anchors.items()}
    scale = {"anchors": anchors, "anchored_by": ranking.anchored_by or None, "noise": ranking.noise}
    return {
        "label": ranking.label,
        "source": ranking.source,
        "profile": ranking.profile,
        "ranked_by": ranking.metric,
        **scale,
        "rows": rows,
    }


def _origin(row: Row | None) -> dict[str, Any]:
    return {} if row is None else {key: getattr(row, key) for key in _ORIGIN}


def _table(loaded: LoadedTask, ranking: Ranking) -> Table:
    measured = {name for row in ranking.ranked for name in row.metrics}
    names = tuple(name for name in metric_names(loaded.task) if name in measured)
    norm = ("norm",) if ranking.metric in ranking.anchors else ()
    local = ("isolation", "session", "date") if ranking.source == "local" else ()
    rows = tuple(
        (
            ABSENT if row.rank is None else str(row.rank),
            f"{row.name} {LIKE_BASELINE}" if row.like else row.name,
            row.kind,
            *(f"{row.normalised[ranking.metric]:.3f}" if ranking.metric in row.normalised else ABSENT for _ in norm),
            *metric_cells(row.metrics, names, _spreads(row)),
            *(() if row.row is None else (row.row.isolation or ABSENT, row.row.session, day(row.row.submitted))),
        )
        for row in ranking.ranked
    )
    return Table(("rank", "name", "kind", *norm, *names, *local), rows, frozenset({"rank", *norm, *names}))


def _spreads(row: Ranked) -> dict[str, Spread]:
    return {} if row.row is None else spreads(list(row.row.by_seed.values()))


def leaderboard_csv(loaded: LoadedTask, rows: Iterable[Row]) -> str:
    """The leaderboard as one table of comma-separated values, with its groups told apart by their first columns."""
    names = metric_names(loaded.task)
    more = [f"{what}_{name}" for what in ("norm", "deviation") for name in names]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    head = ["group", "source", "profile", "rank", "name", "kind"]
    writer.writerow([*head, *names, *more, "like_baselines", "seeds", *_ORIGIN])
    for group, ranking in enumerate(rank(loaded, rows), start=1):
        for row in ranking.ranked:
            writer.writerow([group, ranking.source, ranking.profile, *_csv_cells(row, names)])
    return lines.getvalue()


def _csv_cells(row: Ranked, names: tuple[str, ...]) -> list[Any]:
    scattered = {name: found.deviation for name, found in _spreads(row).items()}
    columns = [found.get(name) for found in (row.metrics, row.normalised, scattered) for name in names]
    seeds = "" if row.row is None else " ".join(row.row.by_seed or [str(row.row.seed)])
    origin = {**_origin(row.row)}
    origin["warnings"] = "; ".join(origin.get("warnings", ()))
    cells = [row.rank, row.name, row.kind, *columns, "; ".join(row.like or ()), seeds, *map(origin.get, _ORIGIN)]
    return ["" if cell is None else cell for cell in cells]
