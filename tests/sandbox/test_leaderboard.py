"""The ranking: groups of equal conditions, ties, published rows apart, and its three forms."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import structs

from sandbox.errors import LedgerDamaged
from sandbox.events import Event, Submit
from sandbox.leaderboard import Row, leaderboard_csv, leaderboard_report, make_row, rank, rows_of
from sandbox.state import SessionState
from sandbox.tasks import LoadedTask

Play = Callable[..., SessionState]
RunTest = Callable[..., list[Event]]


@pytest.fixture
def row(play: Play, run_test: RunTest) -> Callable[..., Row]:
    """Makes the row of a session with one test; keyword arguments change the row."""
    made = make_row(play(*run_test(1, "a = 2\n", {"val_loss": 2.5, "secret": 0.5})), 1, "2026-11-20T12:30:00+00:00")

    def make(loss: float | None = 2.5, **changes: Any) -> Row:
        metrics = {} if loss is None else {"val_loss": loss}
        return structs.replace(made, **{"metrics": metrics, **changes})

    return make


def places(loaded: LoadedTask, rows: list[Row]) -> list[list[tuple[int | None, str]]]:
    """Rank and name of every row, group by group."""
    return [[(ranked.rank, ranked.name) for ranked in ranking.ranked] for ranking in rank(loaded, rows)]


def test_row_says_everything_that_its_rank_depends_on(play: Play, run_test: RunTest) -> None:
    """A row survives the ledger: it comes back equal from the state of its closed session."""
    events = run_test(1, "a = 2\n", {"val_loss": 2.5, "secret": 0.5})
    row = make_row(play(*events), 1, "2026-11-20T12:30:00+00:00")
    closed = play(*events, Submit(1, msgspec.to_builtins(row)))
    assert rows_of([play(*events), closed], "toy") == [row]
    assert rows_of([closed], "other") == []
    assert (row.name, row.kind, row.session, row.test, row.data_sha256) == ("tester", "agent", "s1", 1, "d" * 64)
    assert row.metrics == {"val_loss": 2.5, "secret": 0.5}


def test_forged_row_is_refused(play: Play, run_test: RunTest) -> None:
    """A row that no submit could have written is named with its session."""
    closed = play(*run_test(1, "a = 2\n", {"val_loss": 2.5}), Submit(1, {"name": "me"}))
    with pytest.raises(LedgerDamaged, match="Session s1: its submitted row is not one"):
        rows_of([closed], "toy")


def test_a_submitted_template_has_no_row_unless_it_is_a_baseline(play: Play, run_test: RunTest) -> None:
    """Whatever an older ledger or a forged one says: an agent's run of the untouched script is not ranked."""
    for content, kind, rows in (("# a\na = 1\n\n", "agent", 0), ("a = 1\n", "baseline", 1), ("a = 1.0\n", "agent", 1)):
        events = run_test(1, content, {"val_loss": 2.5})
        row = make_row(play(*events, kind=kind), 1, "2026-11-20T12:30:00+00:00")
        assert len(rows_of([play(*events, Submit(1, msgspec.to_builtins(row)), kind=kind)], "toy")) == rows


def test_published_rows_stand_apart(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """Published results are ranked among themselves, under the name of their source."""
    published, local = rank(measured_task, [row(2.0)])
    assert "A paper, 2020" in published.label
    assert [(ranked.rank, ranked.name) for ranked in published.ranked] == [(1, "best"), (2, "known")]
    assert [(ranked.rank, ranked.name) for ranked in local.ranked] == [(1, "tester")]


@pytest.mark.parametrize("change", [{"profile": "p"}, {"data_sha256": "e" * 64}, {"conditions_sha256": "f" * 64}])
def test_other_conditions_are_another_group(
    measured_task: LoadedTask, row: Callable[..., Row], change: dict[str, Any]
) -> None:
    """A result under another profile, data set or configuration is never ranked with this one."""
    assert places(measured_task, [row(2.0), row(1.0, name="other", **change)])[1:] == [[(1, "tester")], [(1, "other")]]


def test_conditions_are_the_script_the_overrides_and_the_config_but_not_the_seed(
    play: Play, run_test: RunTest, measured_task: LoadedTask
) -> None:
    """Another seed stays in the group; any other setting, or another script, does not."""

    def conditions(task: LoadedTask = measured_task, **config: Any) -> str:
        split = {"micro_batch_size": 8, "gradient_accumulation_steps": 2}
        events = run_test(1, "a = 2\n", {"val_loss": 2.5}, config={"max_iters": 10, "seed": 42, **split, **config})
        return make_row(play(*events, task=task), 1, "").conditions_sha256

    other_regions = tuple(structs.replace(region, name=region.name + "x") for region in measured_task.task.regions)
    renamed = structs.replace(measured_task, task=structs.replace(measured_task.task, regions=other_regions))
    assert conditions(seed=43) == conditions() == conditions(renamed)
    for overridden in ({"max_iters": 11}, {"eval_interval": 7}, {"micro_batch_size": 4}):
        assert conditions(**overridden) != conditions()


def test_another_script_under_the_same_id_is_another_group(
    play: Play, run_test: RunTest, measured_task: LoadedTask
) -> None:
    """Whoever copies a task's folder and eases its limits does not join the ranking of the task."""
    regions = (structs.replace(measured_task.task.regions[0], last=6), measured_task.task.regions[1])
    eased = structs.replace(measured_task, task=structs.replace(measured_task.task, regions=regions))
    patched = structs.replace(measured_task, template=measured_task.template.replace("math.pi", "math.e"))
    state = play(*run_test(1, "a = 2\n", {"val_loss": 2.5}))
    rows = [
        make_row(replace(state, start=structs.replace(state.start, task=task)), 1, "")
        for task in (measured_task, eased, patched)
    ]
    assert len({row.conditions_sha256 for row in rows}) == 3


def test_ties_share_a_rank_and_missing_scores_have_none(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """Equal losses are equally good; a row without the primary metric comes last."""
    rows = [row(3.0, name="c"), row(2.0, name="a"), row(None, name="d"), row(2.0, name="b")]
    [group] = places(measured_task, rows)[1:]
    assert sorted(group[:2]) == [(1, "a"), (1, "b")]
    assert group[2:] == [(3, "c"), (None, "d")]


def test_higher_is_better_where_the_task_says_so(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """The direction of the primary metric decides."""
    metrics = tuple(structs.replace(metric, direction="max") for metric in measured_task.task.metrics)
    task = structs.replace(measured_task, task=structs.replace(measured_task.task, metrics=metrics))
    assert places(task, [row(1.0, name="low"), row(2.0, name="high")])[1:] == [[(1, "high"), (2, "low")]]


def test_report_has_the_same_rows_in_every_form(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """JSON, text and CSV name the same agents with the same ranks."""
    rows = [row(2.0, name="a,b"), row(1.0, name="c")]
    report = leaderboard_report(measured_task, rows)
    groups = json.loads(json.dumps(report.data))["groups"]
    assert [[entry["name"] for entry in group["rows"]] for group in groups] == [["best", "known"], ["c", "a,b"]]
    lines = [line.split() for line in report.text().splitlines()]
    assert ["1", "c", "agent", "1.0000", "s1", "2026-11-20", "12:30"] in lines
    table = list(csv.DictReader(io.StringIO(leaderboard_csv(measured_task, rows))))
    assert [(line["group"], line["rank"], line["name"], line["val_loss"]) for line in table] == [
        ("1", "1", "best", "2.25"),
        ("1", "2", "known", "2.5"),
        ("2", "1", "c", "1.0"),
        ("2", "2", "a,b", "2.0"),
    ]


def test_empty_leaderboard_says_what_to_do(measured_task: LoadedTask) -> None:
    """Without a local row the reply names the command that makes one."""
    assert "linbench submit" in leaderboard_report(measured_task, []).text()
