"""A test that several processes share, on CPUs by gloo: same loss, typed ends, resumed as it was begun."""

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sandbox.discovery import list_sessions
from sandbox.session import Session

Linbench = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
Wait = Callable[..., None]
TinyRun = Callable[..., list[str]]

LINE = "x = x + self.mlp(self.ln_2(x))"


def workers_of(session: Session, number: int) -> dict[int, int]:
    """Process ids of a test's workers by their rank."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:  # it is gone, or somebody else's
            continue
        rank = re.search(rb"\0RANK=(\d+)\0", environment)
        if rank and str(session.folder.test(number).run).encode() in command:
            found[int(rank[1])] = int(process.name)
    return found


def losses(reply: dict[str, Any]) -> list[float]:
    return [point[which] for point in reply["curve"] for which in ("train_loss", "val_loss")]


def test_two_processes_learn_what_one_does_and_go_on_after_a_kill(
    linbench: Linbench, spawn: Spawn, runs: Path, tiny_run: TinyRun, wait_for_line: Wait, wait_until_idle: Wait
) -> None:
    """Kill -9 of one worker refunds the test, SIGTERM to linbench saves it, and each time two processes go on.

    In the end its losses are those of an undisturbed test by one process: the global batch is the same.
    """
    linbench("start", "--tests", "2")
    (session,) = list_sessions(runs)
    long = tiny_run(gradient_accumulation_steps=2, max_iters=300, eval_interval=20)
    alone = linbench("test", *long, "--json").json

    linbench("edit", "--old", LINE, "--new", f"{LINE}  # the same")
    killed = spawn("test", *long, "--gpus", "2", "--json")
    wait_for_line(killed, session, "PROGRESS: step=7,", 2, seconds=120)
    workers = workers_of(session, 2)
    assert set(workers) == {0, 1}
    os.kill(workers[1], signal.SIGKILL)
    out, errors = killed.communicate(timeout=60)
    error = msgspec.json.decode(out)["error"]
    assert (killed.returncode, error["run"]) == (6, "linbench test --resume"), errors.decode()
    assert "killed" in error["message"]
    assert session.read().budget_left == 1
    wait_until_idle(session, 2, seconds=20)

    (session.folder.test(2).log).unlink()
    stopped = spawn("test", "--resume", "--json")
    wait_for_line(stopped, session, "PROGRESS: step=", 2, seconds=120)
    assert set(workers_of(session, 2)) == {0, 1}
    stopped.terminate()
    out, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, errors.decode()
    assert msgspec.json.decode(out)["error"]["run"] == "linbench test --resume"
    wait_until_idle(session, 2, seconds=20)

    shared = linbench("test", "--resume", "--json").json
    assert shared["metrics"]["val_loss"] == pytest.approx(alone["metrics"]["val_loss"], abs=1e-3)
    assert losses(shared) == pytest.approx(losses(alone), abs=1e-3)
    assert (shared["resumes"], shared["tests_left"]) == (2, 0)
    assert shared["config_sha256"] == alone["config_sha256"]


def test_what_fails_in_one_of_two_processes_is_named(
    linbench: Linbench, runs: Path, lawless: Path, tiny_run: TinyRun
) -> None:
    """Out of memory in one worker alone has its type and the agent's line; the other one's lost connection does not.

    With one window a micro-batch nothing can be halved, and the test is spent.
    """
    linbench("start", lawless, "--tests", "1")
    fails = f"""if dist.is_initialized() and dist.get_rank() == 1 and os.path.basename(os.getcwd()) == "1":
            raise torch.OutOfMemoryError('too much')
        {LINE}"""
    assert linbench("edit", "--old", LINE, "--new", fails).code == 0
    one_window = {"micro_batch_size": 1, "gradient_accumulation_steps": 2}
    short = tiny_run(**one_window, max_iters=6, eval_interval=3, checkpoint_interval=3)
    reply = linbench("test", *short, "--gpus", "2", "--json")
    assert reply.code == 5
    error = reply.json["error"]
    assert "failed (out_of_memory): torch.OutOfMemoryError: too much" in error["message"]
    assert error["line"] == 100
    (session,) = list_sessions(runs)
    assert session.read().tests[1].reason == "out_of_memory"


def test_processes_that_cannot_share_the_batch_are_refused_with_those_that_can(linbench: Linbench) -> None:
    """The divisors are listed; several machines need a place to meet; nothing is spent."""
    linbench("start")
    for arguments, said in (
        (["--gpus", "4", "--set", "gradient_accumulation_steps=6"], "Numbers that can: 1, 2, 3, 6."),
        (["--nodes", "2"], "2 processes cannot share 1 micro-batches a step evenly. Numbers that can: 1."),
        (["--nodes", "2", "--set", "gradient_accumulation_steps=2"], "--nodes needs --rdzv-endpoint HOST:PORT."),
    ):
        reply = linbench("test", *arguments)
        assert (reply.code, said in reply.out) == (2, True), reply.out
    assert linbench("status", "--json").json["tests"] == []
