"""Tests that are killed or interrupted at any moment: resumed, refunded or given up."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.launch import exclusive
from sandbox.discovery import list_sessions
from sandbox.outcome import sha256_of
from sandbox.session import Session

Linbench = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
Wait = Callable[..., None]
TinyRun = Callable[..., list[str]]
EventsOf = Callable[[Session], list[str]]

KILLED = Path(__file__).parent / "processes" / "linbench_killed.py"


def test_killed_at_every_moment_in_turn_a_test_ends_with_the_undisturbed_loss(
    linbench: Linbench, spawn: Spawn, runs: Path, tiny_run: TinyRun, events_of: EventsOf, wait_until_idle: Wait
) -> None:
    """Kill -9 at six moments of one test and resuming after each: one reservation, one commit, the exact same loss."""
    linbench("start", "--tests", "2")
    (session,) = list_sessions(runs)

    def killed_at(moment: str, *arguments: str) -> None:
        process = spawn(moment, *arguments, program=KILLED)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors.decode()

    killed_at("check", "test", *tiny_run())
    assert events_of(session) == ["start"]
    assert linbench("test", "--resume").code == 2
    killed_at("reserved", "test", *tiny_run())
    assert events_of(session) == ["start", "reserve"]
    for moment in ("training", "trained", "scoring", "result"):
        wait_until_idle(session)
        killed_at(moment, "test", "--resume")
        assert session.read().budget_left == 1
    assert session.folder.test(1).result.is_file()
    assert linbench("test", *tiny_run()).code == 2  # the same script is to be resumed, not tested anew
    wait_until_idle(session)
    resumed = linbench("test", "--resume", "--json").json
    assert events_of(session) == ["start", "reserve", *["resume"] * 5, "commit"]
    undisturbed = linbench("test", *tiny_run(), "--json").json
    assert resumed["metrics"] == undisturbed["metrics"]
    assert [point["step"] for point in resumed["curve"]] == [point["step"] for point in undisturbed["curve"]]
    losses = [[(point["train_loss"], point["val_loss"]) for point in run["curve"]] for run in (resumed, undisturbed)]
    assert losses[0] == losses[1]
    assert (resumed["tests_left"], undisturbed["tests_left"]) == (1, 0)
    assert linbench("test", *tiny_run()).code == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_test_can_be_resumed(
    linbench: Linbench,
    spawn: Spawn,
    runs: Path,
    number: signal.Signals,
    tiny_run: TinyRun,
    events_of: EventsOf,
    wait_for_line: Wait,
    wait_until_idle: Wait,
) -> None:
    """Ctrl-C and SIGTERM end linbench with 130 and a saved checkpoint; nothing is spent twice."""
    linbench("start", "--tests", "1")
    (session,) = list_sessions(runs)
    process = spawn("test", *tiny_run(max_iters=1_000_000), "--json")
    wait_for_line(process, session, "PROGRESS: step=7,")
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()
    assert msgspec.json.decode(out)["error"]["run"] == "linbench test --resume"
    wait_until_idle(session)
    assert session.folder.test(1).checkpoint.is_file()
    status = linbench("status")
    assert status.out.splitlines()[-1].split() == ["next", "linbench", "test", "--resume"], status
    assert events_of(session) == ["start", "reserve", "stop"]
    assert session.read().tests[1].stopped_at == sha256_of(session.folder.test(1).checkpoint)


def test_an_interrupted_check_leaves_nothing_behind(
    linbench: Linbench, spawn: Spawn, runs: Path, tiny_run: TinyRun, events_of: EventsOf, wait_until: Wait
) -> None:
    """Ctrl-C during a check exits 130, says that it was interrupted, and removes its folder."""
    linbench("start")
    (session,) = list_sessions(runs)
    process = spawn("test", *tiny_run())
    wait_until(lambda: any(session.folder.root.glob("tests/.check-*/preflight.request.json")), 60)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    assert process.returncode == 130
    assert b"nterrupted" in out
    assert list((session.folder.root / "tests").glob(".check-*")) == []
    assert events_of(session) == ["start"]


def test_a_killed_training_is_refunded_as_often_as_the_budget_allows(
    linbench: Linbench, runs: Path, lawless: Path, tiny_run: TinyRun, events_of: EventsOf
) -> None:
    """Kill -9 of the training alone: exit 6, refunded and resumable; in a budget of one test, not a second time."""
    linbench("start", lawless, "--tests", "1")
    (session,) = list_sessions(runs)
    kill = "if os.path.exists('ckpt.pt'):\n            os.kill(os.getpid(), 9)\n        x = x + self.mlp(self.ln_2(x))"
    edited = linbench("edit", "--old", "x = x + self.mlp(self.ln_2(x))", "--new", kill)
    assert edited.code == 0, edited.out
    first = linbench("test", *tiny_run(), "--json")
    assert (first.code, first.json["error"]["kind"]) == (6, "MachineFault")
    assert "killed" in first.json["error"]["message"]
    assert events_of(session)[-2:] == ["reserve", "refund"]
    assert first.json["error"]["run"] == "linbench test --resume"
    assert linbench("status", "--json").json["budget"] == {"tests": 1, "left": 1, "refunded": 1}
    again = linbench("test", "--resume")
    assert again.code == 5
    assert "The test is spent; 0 of 1 test(s) left." in again.out
    assert events_of(session)[-3:] == ["refund", "resume", "commit"]
    assert linbench("status", "--json").json["budget"] == {"tests": 1, "left": 0, "refunded": 0}
    assert linbench("test", *tiny_run()).code == 4


KILL = "if os.path.exists('ckpt.pt') and not os.path.exists('killed'):\n            open('killed', 'w').close()"

KILL = f"{KILL}\n            os.kill(os.getpid(), 9)\n        x = x + self.mlp(self.ln_2(x))"


def test_only_the_checkpoint_that_a_test_was_stopped_with_is_resumed(
    linbench: Linbench, runs: Path, lawless: Path, tiny_run: TinyRun
) -> None:
    """Another one in its place is undone by the kept one, or makes the test invalid; without any it begins again."""
    linbench("start", lawless, "--tests", "3")
    (session,) = list_sessions(runs)
    linbench("edit", "--old", "x = x + self.mlp(self.ln_2(x))", "--new", KILL)
    losses = []
    for number, kept in ((1, True), (2, False), (3, None)):
        assert linbench("test", *tiny_run()).code == 6
        folder = session.folder.test(number)
        foreign = folder.root / "foreign"
        foreign.write_bytes(folder.checkpoint.read_bytes() + b"0")
        foreign.replace(folder.checkpoint)
        if not kept:
            for path in folder.root.glob("ckpt-*"):
                path.unlink()
        if kept is None:
            folder.checkpoint.unlink()
        reply = linbench("test", "--resume", "--json")
        losses.append(reply.json.get("metrics"))
        assert reply.code == (5 if kept is False else 0), reply.out
        if kept is False:
            assert "is invalid (checkpoint_changed): ckpt.pt is not the checkpoint" in reply.json["error"]["message"]
        assert ("training begins again" in reply.err) == (kept is None)
    assert losses[0] == losses[2]
    assert [test.status for test in session.read().tests.values()] == ["done", "invalid", "done"]
    assert "cannot be submitted" in linbench("submit", "2").out


@pytest.fixture
def reserved(interrupted: Callable[..., Session]) -> Session:
    """A session of three tests, the first one interrupted."""
    return interrupted()


def test_a_running_test_is_neither_resumed_nor_given_up(
    linbench: Linbench, reserved: Session, tiny_run: TinyRun, events_of: EventsOf
) -> None:
    """While any process holds the test's folder, every other test of the session is refused."""
    with exclusive(reserved.folder.test(1).lock):
        for arguments in (["test"], ["test", *tiny_run()], ["test", "--resume"]):
            reply = linbench(*arguments)
            assert reply.code == 2
            assert "still running" in reply.out
    assert events_of(reserved) == ["start", "reserve"]


def test_another_script_gives_an_interrupted_test_up(
    linbench: Linbench, spawn: Spawn, reserved: Session, tiny_run: TinyRun, events_of: EventsOf
) -> None:
    """An interrupted test is spent when the next one is of another script, but not before that one passed its check."""
    linbench("edit", "--old", "x = x + self.mlp(self.ln_2(x))", "--new", "x = x + nothing")
    reply = linbench("test", *tiny_run())
    assert reply.code == 5
    assert "No test was spent" in reply.out
    assert events_of(reserved) == ["start", "reserve", "edit"]
    linbench("edit", "--old", "x = x + nothing", "--new", "x = x + self.mlp(x)")
    process = spawn("reserved", "test", *tiny_run(), program=KILLED)
    _, said = process.communicate()
    assert b"test 1, which was interrupted, is given up for this one" in said
    assert events_of(reserved)[3:] == ["edit", "commit", "reserve"]
    assert reserved.read().tests[1].reason == "abandoned"
