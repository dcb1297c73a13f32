"""A test that several processes share, on CPUs by gloo: same loss, typed ends, resumed as it was begun."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.launch import Busy, exclusive
from sandbox.discovery import list_sessions
from sandbox.session import Session

Linbench = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[bytes]"]

TINY = {"n_layer": 1, "n_embd": 16, "block_size": 32, "micro_batch_size": 2, "gradient_accumulation_steps": 2}
TINY |= {"max_iters": 6, "eval_interval": 3, "checkpoint_interval": 3, "log_interval": 1, "eval_iters": 2}
TINY |= {"warmup_iters": 2}
LINE = "x = x + self.mlp(self.ln_2(x))"


def settings(**changes: int) -> list[str]:
    return [word for key, value in {**TINY, **changes}.items() for word in ("--set", f"{key}={value}")]


def the_session(runs: Path) -> Session:
    (session,) = list_sessions(runs)
    return session


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


def wait_for(session: Session, number: int, text: str, process: "subprocess.Popen[bytes]") -> None:
    """Until the training has printed `text`."""
    log = session.folder.test(number).log
    deadline = time.monotonic() + 120
    while not (log.is_file() and text in log.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "the training did not come so far"
        time.sleep(0.02)


def wait_until_idle(session: Session, number: int) -> None:
    """Until no process of the test lives."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with exclusive(session.folder.test(number).lock):
                return
        except Busy:
            assert time.monotonic() < deadline, "a process of the test lives on"
            time.sleep(0.05)


def losses(reply: dict[str, Any]) -> list[float]:
    return [point[which] for point in reply["curve"] for which in ("train_loss", "val_loss")]


def test_two_processes_learn_what_one_does_and_go_on_after_a_kill(linbench: Linbench, spawn: Spawn, runs: Path) -> None:
    """Kill -9 of one worker refunds the test, SIGTERM to linbench saves it, and each time two processes go on.

    In the end its losses are those of an undisturbed test by one process: the global batch is the same.
    """
    linbench("start", "--tests", "2")
    session = the_session(runs)
    alone = linbench("test", *settings(max_iters=300, eval_interval=20, checkpoint_interval=5), "--json").json

    linbench("edit", "--old", LINE, "--new", f"{LINE}  # the same")
    killed = spawn("test", *settings(max_iters=300, eval_interval=20, checkpoint_interval=5), "--gpus", "2", "--json")
    wait_for(session, 2, "PROGRESS: step=7,", killed)
    workers = workers_of(session, 2)
    assert set(workers) == {0, 1}
    os.kill(workers[1], signal.SIGKILL)
    out, errors = killed.communicate(timeout=60)
    error = msgspec.json.decode(out)["error"]
    assert (killed.returncode, error["run"]) == (6, "linbench test --resume"), errors.decode()
    assert "killed" in error["message"]
    assert session.read().budget_left == 1
    wait_until_idle(session, 2)

    (session.folder.test(2).log).unlink()
    stopped = spawn("test", "--resume", "--json")
    wait_for(session, 2, "PROGRESS: step=", stopped)
    assert set(workers_of(session, 2)) == {0, 1}
    stopped.terminate()
    out, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, errors.decode()
    assert msgspec.json.decode(out)["error"]["run"] == "linbench test --resume"
    wait_until_idle(session, 2)

    shared = linbench("test", "--resume", "--json").json
    assert shared["metrics"]["val_loss"] == pytest.approx(alone["metrics"]["val_loss"], abs=1e-3)
    assert losses(shared) == pytest.approx(losses(alone), abs=1e-3)
    assert (shared["resumes"], shared["tests_left"]) == (2, 0)
    assert shared["config_sha256"] == alone["config_sha256"]


def test_what_fails_in_one_of_two_processes_is_named(linbench: Linbench, runs: Path, lawless: Path) -> None:
    """Out of memory in one worker alone has its type and the agent's line; the other one's lost connection does not.

    With one window a micro-batch nothing can be halved, and the test is spent.
    """
    linbench("start", lawless, "--tests", "1")
    fails = f"""if dist.is_initialized() and dist.get_rank() == 1 and os.path.basename(os.getcwd()) == "1":
            raise torch.OutOfMemoryError('too much')
        {LINE}"""
    assert linbench("edit", "--old", LINE, "--new", fails).code == 0
    reply = linbench("test", *settings(micro_batch_size=1), "--gpus", "2", "--json")
    assert reply.code == 5
    error = reply.json["error"]
    assert "failed (out_of_memory): torch.OutOfMemoryError: too much" in error["message"]
    assert error["line"] == 100
    assert the_session(runs).read().tests[1].reason == "out_of_memory"


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
