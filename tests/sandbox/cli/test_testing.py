"""`linbench check`, `test`, `submit` and `verify`: what they refuse, and what they spend."""

import itertools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.session import Session

Linbench = Callable[..., Any]
RecordTest = Callable[[float | None], Session]

KILLED = Path(__file__).parents[1] / "processes" / "linbench_killed.py"


@pytest.mark.parametrize(
    ("arguments", "said", "next_command"),
    [
        (["--profile", "smok"], "Did you mean 'smoke'?", "linbench test --profile smoke"),
        (["--profile", "gpt-345m"], "", "linbench test --profile smoke"),
        (["--set", "max_iter=3"], "Did you mean 'max_iters'?", "linbench test --help"),
        (["--set", "max_iters"], "is not of the form KEY=VALUE", "linbench test --set max_iters=200"),
        (["--set", "max_iters=few"], "max_iters='few'", "linbench test --help"),
        (["--resume"], "there is nothing to resume", "linbench test"),
        (["--resume", "--profile", "smoke"], "keeps its profile, settings, isolation", "linbench test --resume"),
    ],
)
def test_a_test_that_cannot_be_costs_nothing(
    linbench: Linbench, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str, next_command: str
) -> None:
    """Wrong conditions are refused with exit 2 and the command that would work; no test is spent."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    linbench("start")
    reply = linbench("test", *arguments)
    assert reply.code == 2, reply.out
    assert said in reply.out
    assert f"\nhint: {next_command}\n" in reply.out
    assert linbench("status", "--json").json["tests"] == []


@pytest.mark.parametrize(
    ("arguments", "next_command"),
    [
        (["--isolation", "chroot"], "linbench check"),
        (["--set", "foo=1"], "linbench check --help"),
        (["--set", "max_iters"], "linbench check --set max_iters=200"),
        (["--profile", "smok"], "linbench check --profile smoke"),
    ],
)
def test_a_hint_is_in_the_words_of_the_command_that_was_typed(
    linbench: Linbench, arguments: list[str], next_command: str
) -> None:
    """Whoever mistypes an option of `check`, which is free, is not sent to `test`, which is not."""
    linbench("start")
    reply = linbench("check", *arguments)
    assert (reply.code, f"\nhint: {next_command}\n" in reply.out) == (2, True), reply.out


def test_resuming_opens_no_session(linbench: Linbench, runs: Path) -> None:
    """Where nothing was begun, --resume says so and leaves no session behind."""
    reply = linbench("test", "--resume")
    assert (reply.code, "There is no open session" in reply.out) == (2, True), reply.out
    assert not runs.exists()


def test_a_failing_check_spends_nothing_and_shows_the_line(linbench: Linbench) -> None:
    """`check` and `test` of a model that cannot run exit 5 with the agent's own line, and the budget is whole."""
    linbench("start")
    linbench("edit", "--old", "x = x + self.mlp(self.ln_2(x))", "--new", "x = x + self.mpl(self.ln_2(x))")
    for command in ("check", "test"):
        reply = linbench(command, "--json")
        assert reply.code == 5
        error = reply.json["error"]
        assert "AttributeError: 'Block' object has no attribute 'mpl'" in error["message"]
        assert "nanoGPT/custom_pretrain.py, line 99, in forward\n    x = x + self.mpl(self.ln_2(x))" in error["message"]
        assert (error["line"], error["run"]) == (99, "linbench edit --range 88-100")
    assert linbench("status", "--json").json["budget"]["left"] == 3


def test_softmax_is_measured_as_a_reference_and_refused_as_an_edit(linbench: Linbench) -> None:
    """Template and library pass with their exponent shown; the same attention as an edit fails, by that number."""
    linbench("start")
    free = linbench("check", "--json")
    assert free.code == 0, free.out
    checks = {check["name"]: check for check in free.json["checks"]}
    assert {"parameters", "causal", "subquadratic", "fits"} <= set(checks)
    assert "a reference: it can be trained to compare with" in checks["subquadratic"]["detail"]
    assert checks["subquadratic"]["figures"]["exponents"]["operations"] > 1.8
    assert "1.05 times the" in checks["parameters"]["detail"]
    linbench("edit", "--region", "attention", "--from", "mqa")
    assert "a reference: it can be trained to compare with" in linbench("check").out
    linbench("edit", "--old", "self.dropout = config.dropout", "--new", "self.dropout = 0.0")
    reply = linbench("check")
    assert reply.code == 5
    assert "check failed at 'subquadratic': operations T^1.9" in reply.out.replace("T^1.8", "T^1.9")
    assert "this task allows T^1.4 at most" in reply.out
    assert "\nhint: linbench edit --range 33-" in reply.out


def test_a_spent_budget_exits_4_and_names_what_can_be_submitted(linbench: Linbench, record_test: RecordTest) -> None:
    """Without a test left, `test` says so at once, and `status` no longer proposes it."""
    linbench("start", "--tests", "2")
    record_test(5.5)
    record_test(None)
    reply = linbench("test")
    assert reply.code == 4
    assert "All 2 tests of this session are spent. Tests that are done: 1." in reply.out
    assert "hint: linbench submit 1" in reply.out
    assert linbench("status", "--json").json["next"] == ["linbench submit 1"]


def test_a_vanilla_session_has_one_test(linbench: Linbench, record_test: RecordTest) -> None:
    """In vanilla mode the first test is the only one."""
    refused = linbench("start", "--mode", "vanilla", "--tests", "2")
    assert (refused.code, "A vanilla session has one test" in refused.out) == (2, True)
    assert linbench("start", "--mode", "vanilla", "--json").json["tests"] == 1
    record_test(5.5)
    assert linbench("test").code == 4
    assert linbench("submit", "1", "--json").json["submitted"]["row"]["kind"] == "vanilla"


def test_only_a_finished_test_can_be_submitted_and_only_one(linbench: Linbench, record_test: RecordTest) -> None:
    """No test, an unknown one, a failed one and a second one are refused; the same one again changes nothing."""
    linbench("start")
    for arguments, next_command in ((["submit"], "linbench test"), (["submit", "1"], "linbench test")):
        reply = linbench(*arguments)
        assert (reply.code, f"\nhint: {next_command}\n" in reply.out) == (2, True), reply.out
    record_test(5.5)
    record_test(None)
    session = record_test(5.25)
    for arguments, said, next_command in (
        (["submit"], "Which test?", "linbench submit 3"),
        (["submit", "7"], "There is no test 7. Tests that are done: 1, 3.", "linbench submit 3"),
        (["submit", "0"], "There is no test 0.", "linbench submit 3"),
        (["submit", "2"], "Test 2 is failed (non_finite_loss) and cannot be submitted.", "linbench submit 3"),
    ):
        reply = linbench(*arguments)
        assert (reply.code, said in reply.out) == (2, True), reply.out
        assert f"\nhint: {next_command}\n" in reply.out
    done = linbench("submit", "1")
    assert done.code == 0
    assert done.out.startswith(f"OK: test 1 of {session.name} is final; the session is closed.\n")
    ledger = session.folder.ledger.read_bytes()
    again = linbench("submit", "1")
    assert again.code == 0
    assert "was submitted before; nothing was changed" in again.err
    other = linbench("submit", "3")
    assert (other.code, "is closed: test 1 was submitted" in other.out) == (2, True)
    assert session.folder.ledger.read_bytes() == ledger


def test_the_untouched_template_earns_no_row(linbench: Linbench, record_test: RecordTest) -> None:
    """A run of the template, comments aside, is refused and not proposed; the session goes on to a better one."""
    linbench("start")
    session = record_test(5.5)
    linbench("reset")
    linbench("edit", "--range", "246-246", "--content", "    # a remark of mine")
    record_test(5.0)
    refused = linbench("submit", "2")
    assert (refused.code, "ran the template as it is" in refused.out) == (2, True)
    assert "\nhint: linbench submit 1\n" in refused.out
    assert linbench("status", "--json").json["next"][-1] == "linbench submit 1"
    assert not session.read().closed
    assert linbench("submit", "1").code == 0


def test_a_submission_killed_at_any_step_is_there_once_or_not(
    linbench: Linbench, record_test: RecordTest, spawn: Callable[..., Any]
) -> None:
    """Kill -9 before any effect of `submit`: the session is open or closed, and submitting again makes one row."""
    closed = []
    for effect in itertools.count():
        linbench("start")
        session = record_test(5.5)
        process = spawn(effect, "submit", "1", program=KILLED)
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        closed.append(session.read().closed)
        assert linbench("submit", "1", "--session", session.name).code == 0
        assert session.folder.ledger.read_text().count('"type":"submit"') == 1
    assert closed == sorted(closed)
    assert set(closed) == {False, True}
    ranked = linbench("leaderboard", "--json").json["groups"][-1]["rows"]
    assert len(ranked) == len({row["session"] for row in ranked}) == len(closed) + 1


def test_a_session_whose_checkpoint_is_gone_cannot_be_verified(linbench: Linbench, record_test: RecordTest) -> None:
    """`verify` of a session without a run's files says what is missing, and exits 6."""
    linbench("start")
    assert linbench("verify").code == 0
    record_test(5.5)
    reply = linbench("verify")
    assert reply.code == 6
    assert "has lost its source or its checkpoint" in reply.out


def test_verify_takes_the_session_by_position_or_by_option(linbench: Linbench) -> None:
    """Either way the same session is meant; both at once are refused, and an unknown one is named."""
    name = linbench("start", "--json").json["session"]
    linbench("start")
    for arguments in ([name], [name[:-1]], ["--session", name]):
        assert linbench("verify", *arguments, "--json").json["session"] == name
    both = linbench("verify", name, "--session", name)
    assert (both.code, f"hint: linbench verify {name}" in both.out) == (2, True)
    assert "no session 'nowhere'" in linbench("verify", "nowhere").out


def test_data_that_is_not_prepared_is_the_machines_fault(
    linbench: Linbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data folder that cannot be written costs no test and exits 6."""
    linbench("start")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path / "file" / "data"))
    reply = linbench("test")
    assert reply.code == 6
    assert str(tmp_path / "file" / "data") in reply.out
    assert linbench("status", "--json").json["tests"] == []
