"""`linbench status`, `runs`, `compare` and `leaderboard`, as an agent reads them."""

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.launch import exclusive
from harness.run_config import without_paths
from sandbox.conditions import conditions
from sandbox.discovery import find
from sandbox.events import Reserve
from sandbox.session import Session

Linbench = Callable[..., Any]
RecordTest = Callable[[float | None], Session]


def test_without_a_session_every_reading_command_says_how_to_begin(linbench: Linbench) -> None:
    """In an empty runs folder these commands exit 2, hint at `start`, and leave nothing behind."""
    for command in (["status"], ["runs"], ["runs", "1"], ["compare", "1", "2"], ["undo"], ["diff"], ["verify"]):
        reply = linbench(*command)
        assert reply.code == 2
        assert "hint: linbench start" in reply.out


@pytest.mark.parametrize("command", [["runs", "4"], ["compare", "1", "4"], ["diff", "--from", "4"]])
def test_an_unknown_test_is_answered_with_those_there_are(
    linbench: Linbench, record_test: RecordTest, command: list[str]
) -> None:
    """The reply names the tests and hints at the nearest."""
    linbench("start")
    record_test(5.5)
    record_test(5.25)
    reply = linbench(*command)
    assert reply.code == 2
    assert "There is no test 4. There are: 1, 2." in reply.out
    assert "hint: linbench runs 2" in reply.out


def test_two_tests_are_compared_with_the_difference_of_their_regions(
    linbench: Linbench, record_test: RecordTest
) -> None:
    """`compare` shows both losses and what changed in the script between them."""
    linbench("start")
    record_test(5.5)
    linbench("edit", "--range", "246-246", "--content", "    # a remark")
    record_test(5.25)
    out = linbench("compare", "1", "2").out
    assert "5.5000" in out
    assert "5.2500" in out
    assert "+    # a remark" in out


def test_the_leaderboard_ranks_what_was_submitted_apart_from_what_was_published(
    linbench: Linbench, record_test: RecordTest
) -> None:
    """Two sessions' rows stand in one local group, best first, below the published one; the CSV says the same."""
    for agent, loss in (("first", 5.5), ("second", 5.25)):
        linbench("start", "--agent", agent)
        record_test(loss)
        assert linbench("submit", "1").code == 0
    groups = linbench("leaderboard", "--json").json["groups"]
    assert [group["source"] == "local" for group in groups] == [False, True]
    assert [(row["rank"], row["name"]) for row in groups[1]["rows"]] == [(1, "second"), (2, "first")]
    rows = list(csv.DictReader(io.StringIO(linbench("leaderboard", "--csv").out)))
    local = [row for row in rows if row["session"]]
    assert [(row["rank"], row["name"]) for row in local] == [("1", "second"), ("2", "first")]
    assert len(rows) == len(local) + len(groups[0]["rows"])
    both = linbench("leaderboard", "--csv", "--json")
    assert (both.code, both.json["error"]["message"]) == (2, "Give --csv or --json, not both.")
    unknown = linbench("leaderboard", "llm-pretrain-embeding")
    assert unknown.code == 2
    assert "Did you mean 'llm-pretrain-embedding'?" in unknown.out


def test_status_follows_the_session_from_start_to_close(linbench: Linbench, record_test: RecordTest) -> None:
    """Budget, tests and next commands in `status` are those of the ledger at every stage."""
    linbench("start", "--agent", "me", "--tests", "2", "--seed", "7")
    found = linbench("status", "--json").json
    assert (found["agent"], found["seed"], found["budget"]) == ("me", 7, {"tests": 2, "left": 2, "refunded": 0})
    assert found["next"][0] == "linbench edit --range 33-70"
    record_test(5.5)
    found = linbench("status", "--json").json
    assert (found["budget"]["left"], found["tests"][0]["metrics"]) == (1, {"val_loss": 5.5})
    assert found["next"][-1] == "linbench submit 1"
    linbench("submit", "1")
    found = linbench("status", "--json").json
    assert (found["closed"], found["submitted"]) == (True, 1)


def test_status_tells_a_running_test_from_an_interrupted_one(
    linbench: Linbench, record_test: RecordTest, runs: Path
) -> None:
    """While a process holds the folder of the open test, status waits for it; afterwards it proposes to resume."""
    linbench("start")
    session = find(None, runs)
    state = session.read()
    settled = conditions(state.task.task, "smoke", 42, {})
    with session.transact() as transaction:
        sha256, config = state.document.revision_sha(), without_paths(settled.config)
        transaction.append(Reserve(1, 0, sha256, "smoke", 42, config, settled.config_sha256))
    folder = session.folder.test(1)
    folder.root.mkdir(parents=True)
    with exclusive(folder.lock):
        busy = linbench("status", "--json").json
    assert (busy["running"], busy["next"]) == (f"Process {os.getpid()}", ["linbench status"])
    idle = linbench("status")
    assert "Test 1 was interrupted; resuming it costs nothing." in idle.out
    assert "next  linbench test --resume" in idle.out


def test_an_older_open_session_is_named_where_the_newest_is_closed(linbench: Linbench, record_test: RecordTest) -> None:
    """A blind second submit reaches the older session; stderr says which one that is."""
    linbench("start", "--agent", "older")
    linbench("start", "--agent", "newer")
    record_test(5.5)
    assert linbench("submit", "1").err == ""
    again = linbench("submit", "1")
    assert again.code == 2
    assert "is meant; " in again.err
    assert "is closed." in again.err
