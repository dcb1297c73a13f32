"""One attempt in this process: furnish a place, try it, look at what came of it."""

import contextlib
import io
import time
from pathlib import Path

import msgspec

from harness.files import temporary_folder
from sandbox.errors import LedgerDamaged
from sandbox.selftest.attempt import SHELL, Attempt
from sandbox.selftest.conditions import task_of
from sandbox.selftest.course import Course, go
from sandbox.selftest.effects import Effects
from sandbox.selftest.place import new_session, place
from sandbox.selftest.verdict import Verdict, judge
from sandbox.session import Session


def run(attempt: Attempt, isolation: str, data: Path) -> Verdict:
    """The verdict on one attempt.

    `isolation` is the sandbox that its code runs in, `data` where prepared data lie or will lie. Nothing of it is left.
    """
    started = time.monotonic()
    with (
        temporary_folder(prefix="linbench-selftest-") as root,
        place(root, data, attempt.seconds) as here,
    ):
        task = task_of(attempt)
        other = new_session(here, task)
        session = new_session(here, task)
        code = attempt.filled(here.words(session.folder, other.folder))
        effects = Effects(here, session, other, own_ledger=attempt.region != SHELL)
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            course = _go(attempt, session, code, isolation)
        found = effects.found(f"{course.said}\n{said.getvalue()}")
        verdict = judge(attempt, course, found, effects.acted())
    return msgspec.structs.replace(verdict, seconds=time.monotonic() - started)


def _go(attempt: Attempt, session: Session, code: str, isolation: str) -> Course:
    try:
        return go(attempt, session, code, isolation)
    except LedgerDamaged as damaged:  # in the middle of it: that is an effect
        return Course(None, damaged.message)
