"""The leaderboard's row: what it is made of, and which rows count."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import structs

from sandbox.errors import LedgerDamaged
from sandbox.events import Event, Submit
from sandbox.row import make_row, rows_of
from sandbox.state import SessionState
from sandbox.tasks import LoadedTask

Play = Callable[..., SessionState]
RunTest = Callable[..., list[Event]]


def test_row_says_everything_that_its_rank_depends_on(play: Play, run_test: RunTest) -> None:
    """A row survives the ledger: it comes back equal from the state of its closed session."""
    events = run_test(1, "a = 2\n", {"val_loss": 2.5, "secret": 0.5})
    row = make_row(play(*events), 1, "2026-11-20T12:30:00+00:00")
    closed = play(*events, Submit(1, msgspec.to_builtins(row)))
    assert rows_of([play(*events), closed], "toy") == [row]
    assert rows_of([closed], "other") == []
    assert (row.name, row.kind, row.session, row.test, row.data_sha256) == ("tester", "agent", "s1", 1, "d" * 64)
    assert row.metrics == {"val_loss": 2.5, "secret": 0.5}


def test_a_row_says_what_the_policy_warns_of(play: Play, run_test: RunTest) -> None:
    """The warnings are those of the tested script, whatever was edited after it."""
    events = run_test(1, "import random\na = random.random()\n", {"val_loss": 2.5})
    state = play(*events, *run_test(2, "a = 3\n", {"val_loss": 2.5})[:1])
    assert [warning.split(":")[0] for warning in make_row(state, 1, "").warnings] == ["line 5, column 5"]
    assert "(seed)" in make_row(state, 1, "").warnings[0]


def test_a_row_of_an_earlier_version_is_read(play: Play, run_test: RunTest) -> None:
    """What it could not say is unknown, and it ranks with what was scored as it was."""
    events = run_test(1, "a = 2\n", {"val_loss": 2.5})
    written = msgspec.to_builtins(make_row(play(*events), 1, "2026-11-20T12:30:00+00:00"))
    added = ("by_seed", "scoring_version", "harness_sha256", "isolation", "warnings", "resumes")
    older = {key: value for key, value in written.items() if key not in added}
    [row] = rows_of([play(*events, Submit(1, older))], "toy")
    assert (row.scoring_version, row.harness_sha256, row.isolation, row.resumes) == (1, None, None, 0)


def test_forged_row_is_refused(play: Play, run_test: RunTest) -> None:
    """A row that no submit could have written is named with its session."""
    closed = play(*run_test(1, "a = 2\n", {"val_loss": 2.5}), Submit(1, {"name": "me"}))
    with pytest.raises(LedgerDamaged, match="Session s1: its submitted row is not one"):
        rows_of([closed], "toy")


def test_a_submitted_template_has_no_row_unless_it_is_a_baseline(play: Play, run_test: RunTest) -> None:
    """Whatever an older ledger says: an agent's run of the untouched script is not ranked."""
    same = "# first region: lines 4 to 5\na = 1\n"
    for content, kind, rows in ((same, "agent", 0), (same, "baseline", 1), ("a = 1.0\n", "agent", 1)):
        events = run_test(1, content, {"val_loss": 2.5})
        row = make_row(play(*events, kind=kind), 1, "2026-11-20T12:30:00+00:00")
        assert len(rows_of([play(*events, Submit(1, msgspec.to_builtins(row)), kind=kind)], "toy")) == rows


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
