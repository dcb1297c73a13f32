"""Find the open session in runs/ at argv[1], or create it on the task whose JSON is argv[2], and edit it once."""

import sys
from pathlib import Path

from sandbox.discovery import find_or_create
from sandbox.events import Edit
from sandbox.session import Session
from sandbox.tasks import LoadedTask

runs = Path(sys.argv[1])
task = LoadedTask.from_json(sys.argv[2])


def create() -> Session:
    return Session.create(
        task, agent="a", mode="agent", kind="agent", profile="smoke", tests=None, seeds=(1,), runs=runs
    )


session, created = find_or_create(None, runs, create)
with session.transact() as transaction:
    transaction.append(Edit("one", ("a = 2\n", ""), True))
print("created" if created else "found")
