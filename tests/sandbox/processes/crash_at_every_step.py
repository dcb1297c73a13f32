"""Let processes die at every step of their effects on disk, and leave what they left behind for the test to look at.

argv: "edits", a session and an empty folder, for folders <i>-<j> in it: one process died at step i of an edit of the
session's copy there, and the next at step j of another. Or "creates", the JSON of a task and an empty folder, for
folders <i> in it: a process died at step i of creating a session there.
"""

import functools
import itertools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.events import Edit
from sandbox.paths import SessionFolder
from sandbox.session import Session
from sandbox.tasks import LoadedTask

DIED = 9


def die_at(step: int) -> None:
    """Make this process end right before its effect number `step`; a write counts twice, its first half apart."""
    left = step

    def count() -> None:
        nonlocal left
        if left == 0:
            os._exit(DIED)
        left -= 1

    def stop_before(name: str) -> None:
        real = getattr(os, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            count()
            return real(*arguments, **options)

        setattr(os, name, wrapped)

    real_write = os.write

    def write_by_halves(handle: int, data: bytes) -> int:
        count()
        half = real_write(handle, data[: len(data) // 2])
        count()
        return half + real_write(handle, data[half:])

    for name in ("fsync", "replace", "rename"):
        stop_before(name)
    os.write = write_by_halves


def in_a_process(step: int, command: Callable[[], object]) -> bool:
    """Run `command` in a process that dies at `step`; returns whether it got there."""
    child = os.fork()
    if child == 0:
        die_at(step)
        command()
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, DIED)
    return code == DIED


def edit(folder: Path, number: int) -> None:
    with Session(SessionFolder(folder)).transact() as transaction:
        transaction.append(Edit(f"edit {number}", (f"a = {number}\n", "c = 3\n"), True))


def create(task: LoadedTask, runs: Path) -> None:
    Session.create(task, agent="a", mode="agent", kind="agent", profile="smoke", tests=None, seeds=(1,), runs=runs)


def crash_two_edits(session: Path, folder: Path, first: int, second: int) -> tuple[bool, bool]:
    copy = shutil.copytree(session, folder / f"{first}-{second}")
    return in_a_process(first, lambda: edit(copy, 10)), in_a_process(second, lambda: edit(copy, 20))


def crash_edits(session: Path, folder: Path) -> None:
    for first in itertools.count():
        for second in itertools.count():
            first_died, second_died = crash_two_edits(session, folder, first, second)
            if not second_died:
                break
        if not first_died:
            break


def crash_creates(task: LoadedTask, folder: Path) -> None:
    for step in itertools.count():
        runs = folder / str(step)
        runs.mkdir(parents=True)
        if not in_a_process(step, functools.partial(create, task, runs)):
            break


if sys.argv[1] == "edits":
    crash_edits(Path(sys.argv[2]), Path(sys.argv[3]))
else:
    crash_creates(LoadedTask.from_json(sys.argv[2]), Path(sys.argv[3]))
