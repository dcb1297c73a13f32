"""`linbench tasks` and `linbench start`."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.paths import tasks_dir, templates_dir

Linbench = Callable[..., Any]

LINEAR = "llm-pretrain-linear-attention"


def test_tasks_are_listed_and_shown(linbench: Linbench) -> None:
    """`tasks` lists both; `tasks ID` shows regions, budget and published results."""
    assert linbench("tasks").out.count("llm-pretrain-") >= 2
    shown = linbench("tasks", LINEAR).out
    for word in ("attention", "33", "deltanet", "2.3481", "val_loss"):
        assert word in shown
    reply = linbench("tasks", "llm-pretrain-liner-attention")
    assert reply.code == 2
    assert f"Did you mean '{LINEAR}'?" in reply.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["llm-pretrain-embeding"], "Did you mean 'llm-pretrain-embedding'?"),
        (["linear"], "Did you mean 'llm-pretrain-linear-attention'?"),
        (["--mode", "solo"], "no mode 'solo'. There are: agent, vanilla."),
        (["--profile", "smokey"], "Did you mean 'smoke'?"),
        (["--tests", "0"], "needs at least one test, not 0"),
        (["--tests", "many"], "'many' is not a valid int"),
        (["--agent", "red\x1b[31m"], r"--agent 'red\x1b[31m' is no name"),
        (["--agent", "two\nlines"], r"--agent 'two\nlines' is no name"),
        (["--agent", "  "], "--agent '  ' is no name"),
        (["--seed", "-1"], "The seed is -1"),
        (["--seed", str(2**32)], "The seed is 4294967296"),
    ],
)
def test_a_session_that_cannot_be_is_not_opened(
    linbench: Linbench, runs: Path, arguments: list[str], said: str
) -> None:
    """A wrong task, mode, profile, budget or seed exits 2 and leaves no session."""
    reply = linbench("start", *arguments)
    assert reply.code == 2
    assert said in reply.out
    assert "\nhint: linbench " in reply.out
    assert "linbench test" not in reply.out
    assert not runs.exists() or not list(runs.glob("2*"))


@pytest.fixture
def own_task(tmp_path: Path) -> Path:
    """A task folder of the agent's own, made from the one that ships."""
    folder = tmp_path / "own"
    shutil.copytree(tasks_dir() / LINEAR, folder)
    shutil.copy(templates_dir() / "custom_pretrain.py", folder)
    return folder


def test_a_task_may_lie_in_any_folder(linbench: Linbench, own_task: Path) -> None:
    """`start PATH` opens a session that outlives the folder."""
    description = (own_task / "task.yaml").read_text()
    (own_task / "task.yaml").write_text(description.replace(LINEAR, "own-task"))
    reply = linbench("start", own_task, "--json")
    assert (reply.code, reply.json["task"]) == (0, "own-task"), reply.out
    shutil.rmtree(own_task)
    assert linbench("edit", "--range", "246-246", "--content", "    # a remark").code == 0
    assert linbench("status", "--json").json["task"] == "own-task"
    assert linbench("leaderboard", "own-task").code == 0


def test_an_unknown_key_of_a_task_is_named(linbench: Linbench, own_task: Path, runs: Path) -> None:
    """A misspelt key of task.yaml refuses the task, says which, and opens nothing."""
    with (own_task / "task.yaml").open("a") as file:
        file.write("\nbudgett: 3\n")
    reply = linbench("start", own_task)
    assert reply.code == 2
    assert "budgett" in reply.out
    assert "task.yaml" in reply.out
    assert f"hint: linbench start {own_task}" in reply.out
    assert not list(runs.glob("2*"))


def test_the_agents_name_is_an_option_or_a_variable(linbench: Linbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """--agent, then LINBENCH_AGENT, both refused where they could steer a terminal."""
    monkeypatch.setenv("LINBENCH_AGENT", "from the environment")
    linbench("start")
    assert linbench("status", "--json").json["agent"] == "from the environment"
    linbench("start", "--agent", "агент 7")
    assert linbench("status", "--json").json["agent"] == "агент 7"
    monkeypatch.setenv("LINBENCH_AGENT", "a\x1b[2Jb")
    reply = linbench("start")
    assert (reply.code, r"LINBENCH_AGENT 'a\x1b[2Jb' is no name" in reply.out) == (2, True)
