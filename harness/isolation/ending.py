"""The end of a child process and of everything that it started, wherever those processes have gone.

A process that leaves its group and its parent comes back here as an orphan, and is ended too. Under bubblewrap the
kernel ends all at once, with the sandbox's first process.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.isolation.bubblewrap import PROGRAM
from harness.isolation.usage import children, descendants

PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h: orphaned descendants become children of this process."""

END_SECONDS = 10.0
"""For a killed process to be gone; one that waits for a disk can take a while."""

LeftBehind = set[int]
"""Children that this process had before; whoever is here later beside them was left behind."""


@contextmanager
def survivors_come_here() -> Iterator[LeftBehind]:
    """While inside, orphans of a child come to this process; outside Linux there is nobody to ask."""
    if sys.platform != "linux":
        yield set()
        return
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield set(children(os.getpid()))
    finally:
        library.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the child's group; under bubblewrap, which would end all at once, to what runs below it."""
    if not _is_bubblewrap(process.pid):
        _send_group(process, signal.SIGTERM)
        return
    for pid in descendants(process.pid):
        if not _is_bubblewrap(pid):
            _send(pid, signal.SIGTERM)


def _is_bubblewrap(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip() == PROGRAM
    except (FileNotFoundError, ProcessLookupError):
        return False


def end(process: subprocess.Popen[bytes], before: LeftBehind) -> None:
    """Kill the child, its group, all below it and what it left behind; return when they are gone."""
    below = descendants(process.pid)
    _send_group(process, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        orphans = set(children(os.getpid())) - before
        if not orphans and not any(map(_lives, below)):
            return
        for orphan in orphans:
            for pid in (orphan, *descendants(orphan)):
                _send(pid, signal.SIGKILL)
            os.waitpid(orphan, os.WNOHANG)
        time.sleep(0.01)


def _send_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
