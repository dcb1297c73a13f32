"""Tests as transactions: failed by the agent's code, begun twice, without a budget, with a score that is void."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.conditions import conditions
from sandbox.discovery import list_sessions
from sandbox.errors import UsageError
from sandbox.paths import tasks_dir, templates_dir
from sandbox.session import Session
from sandbox.trial import begin_test

Linbench = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
TinyRun = Callable[..., list[str]]
EventsOf = Callable[[Session], list[str]]


def test_a_check_repeats_what_the_policy_warns_of(linbench: Linbench, tiny_run: TinyRun) -> None:
    """Its reply warns of what `edit` warned of, and passes."""
    linbench("start", "llm-pretrain-embedding")
    line = "import os; os.environ['TRITON_CACHE_DIR'] = 'kernels'"
    assert linbench("edit", "--after", "115", "--content", line).code == 0
    reply = linbench("check", *tiny_run(), "--json")
    assert reply.code == 0, reply.out
    assert next(text for text in reply.json["warnings"] if "(environment setting)" in text).startswith("line 116,")


def test_a_checkpoint_that_lies_where_a_test_will_run_is_not_trained_on(
    linbench: Linbench, runs: Path, tiny_run: TinyRun
) -> None:
    """Whoever puts the weights of a longer training into the next test's folder finds them removed."""
    linbench("start")
    (session,) = list_sessions(runs)
    assert linbench("test", *tiny_run(), "--json").code == 0
    trained = session.folder.test(1).checkpoint.read_bytes()
    planted = session.folder.test(2)
    planted.root.mkdir()
    planted.checkpoint.write_bytes(trained)
    (planted.root / "more").symlink_to(session.folder.test(1).root)
    again = linbench("test", *tiny_run(), "--json").json
    assert [point["step"] for point in again["curve"]] == [5, 10]
    assert not (planted.root / "more").exists()
    assert session.folder.test(1).checkpoint.read_bytes() == trained


def test_an_error_in_the_training_spends_the_test_and_shows_the_line(
    linbench: Linbench, lawless: Path, tiny_run: TinyRun
) -> None:
    """Code that fails only after the check costs the test, exits 5, and is shown with its line in the script."""
    linbench("start", lawless, "--tests", "1")
    content = "assert not os.path.exists('ckpt.pt'), 'too late'\n        x = x + self.mlp(x)"
    assert linbench("edit", "--old", "x = x + self.mlp(self.ln_2(x))", "--new", content).code == 0
    reply = linbench("test", *tiny_run(), "--json")
    assert reply.code == 5
    error = reply.json["error"]
    assert "AssertionError: too late" in error["message"]
    assert f"nanoGPT/custom_pretrain.py, line {error['line']}, in forward" in error["message"]
    assert error["run"] == "linbench edit --range 88-101"
    shown = linbench("runs", "1").out
    assert "failed" in shown
    assert "too late" in shown
    assert linbench("test", *tiny_run()).code == 4


def test_two_tests_at_once_are_two_tests_or_one(
    linbench: Linbench, spawn: Spawn, runs: Path, tiny_run: TinyRun
) -> None:
    """Of two `linbench test` at the same time each is refused or has a test of its own, and none is lost."""
    linbench("start", "--tests", "3")
    processes = [spawn("test", *tiny_run(), "--json") for _ in range(2)]
    codes = sorted(process.communicate() and process.returncode for process in processes)
    (session,) = list_sessions(runs)
    state = session.read()
    assert codes in ([0, 2], [0, 0])
    assert [test.status for test in state.tests.values()] == ["done"] * codes.count(0)


def test_a_script_that_changes_during_the_check_is_not_tested(
    linbench: Linbench, runs: Path, events_of: EventsOf
) -> None:
    """An edit between the check and the reservation makes the test refuse, and costs nothing."""
    linbench("start")
    (session,) = list_sessions(runs)
    state = session.read()
    settled = conditions(state.task.task, "smoke", 42, {})
    linbench("edit", "--range", "246-248", "--content", "    CONFIG_OVERRIDES = {}\n")
    with pytest.raises(UsageError, match="from revision 0 to 1"), begin_test(session, state, settled):
        pass
    assert events_of(session) == ["start", "edit"]


def test_a_spent_budget_is_refused_before_the_check(
    linbench: Linbench, tiny_run: TinyRun, events_of: EventsOf, interrupted: Callable[..., Session]
) -> None:
    """With no test left, exit 4 comes before any child process; what was interrupted can still be resumed."""
    session = interrupted("--tests", "1")
    linbench("edit", "--range", "33-70", "--content", "class CausalSelfAttention(nn.Module): forward = None")
    reply = linbench("test", *tiny_run())
    assert reply.code == 4
    assert "hint: linbench test --resume" in reply.out
    assert events_of(session) == ["start", "reserve", "edit"]


SCORED = "sys.argv[0].endswith('server.py')"

AT_EXIT = "os.path.exists('ckpt.pt') and __import__('atexit').register"

ENDS = [
    (f"os._exit(0) if {SCORED} else None", (), "failed (error)", "exit code 0"),
    (f"{SCORED} and open('ckpt.pt', 'ab').write(b'0')", ("--isolation", "none"), "failed (error)", "its checkpoint"),
    (
        f"{AT_EXIT}(lambda: (os.rename('ckpt.pt', 'c'), os.symlink('c', 'ckpt.pt')))",
        (),
        "failed (irregular_file)",
        "ckpt.pt is a symbolic link",
    ),
    ("self.training and open('result.json', 'w').write('{}')", (), "invalid (foreign_result)", "result.json appeared"),
    (
        "self.training and not os.path.isdir('scores.json') and os.mkdir('scores.json')",
        (),
        "invalid (foreign_result)",
        "scores.json appeared",
    ),
    (
        f"{AT_EXIT}(lambda: open('source.py', 'a').write(' '))",
        ("--isolation", "none"),
        "invalid (source_changed)",
        "source.py is not what was tested",
    ),
]


def test_a_script_that_meddles_with_its_score_has_spent_its_test(
    linbench: Linbench, runs: Path, lawless: Path, tiny_run: TinyRun
) -> None:
    """Ending the scoring, changing the checkpoint or writing its own result is the script's doing: failed or invalid.

    None of it is refunded, nor can it be submitted.
    """
    linbench("start", lawless, "--tests", str(len(ENDS)))
    line = "x = x + self.mlp(self.ln_2(x))"
    for meddling, options, ended, said in ENDS:
        linbench("reset")
        assert linbench("edit", "--old", line, "--new", f"{meddling}; {line}").code == 0
        reply = linbench("test", *tiny_run(), *options)
        assert reply.code == 5, reply.out
        assert ended in reply.out
        assert said in reply.out
    assert linbench("status", "--json").json["budget"] == {"tests": len(ENDS), "left": 0, "refunded": 0}
    assert "is invalid (foreign_result) and cannot be submitted" in linbench("submit", "4").out
    (session,) = list_sessions(runs)
    assert '"status": "invalid"' in session.folder.test(4).result.read_text()


def test_a_loss_below_the_floor_of_the_task_is_invalid(linbench: Linbench, tmp_path: Path, tiny_run: TinyRun) -> None:
    """A task says which validation loss it no longer believes; the figure is kept as void, and ranks nowhere."""
    folder = tmp_path / "task"
    shutil.copytree(tasks_dir() / "llm-pretrain-linear-attention", folder)
    shutil.copy(templates_dir() / "custom_pretrain.py", folder)
    text = (folder / "task.yaml").read_text()
    (folder / "task.yaml").write_text(re.sub("smoke: [0-9.]+", "smoke: 100", text))
    linbench("start", folder)
    tested = linbench("test", *tiny_run(), "--json")
    assert tested.code == 5
    assert "is below 100" in tested.json["error"]["message"]
    (test,) = linbench("runs", "--json").json["tests"]
    assert (test["status"], test["reason"], test["metrics"]) == ("invalid", "below_floor", {})
    assert 4 < test["facts"]["void_metrics"]["val_loss"] < 7
