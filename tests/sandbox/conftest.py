"""Toy objects that several test files share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.schema import Region
from sandbox.session import Session
from sandbox.task_schema import Budget, Task
from sandbox.tasks import LoadedTask

TOY_TEMPLATE = """\
# a toy script
import math

# first region: lines 4 to 5
a = 1

b = 2

# second region: lines 9 to 10
c = 3

print(math.pi, a, b, c)
"""


@pytest.fixture
def toy_task() -> LoadedTask:
    """A script of twelve lines with two regions, `first` (4-5) and `second` (9-10), and a budget of three tests."""
    regions = (Region("first", 4, 5), Region("second", 9, 10))
    task = Task(id="toy", template="toy.py", file="toys/toy.py", regions=regions, budget=Budget(tests=3))
    return LoadedTask(task, "/nowhere", TOY_TEMPLATE)


@pytest.fixture
def new_session(toy_task: LoadedTask, tmp_path: Path) -> Callable[..., Session]:
    """Opens a session on the toy task under tmp_path/runs; keyword arguments replace those of Session.create."""

    def create(**changes: object) -> Session:
        usual = {"agent": "tester", "mode": "agent", "kind": "agent", "profile": "smoke", "tests": None, "seed": 42}
        return Session.create(toy_task, **{**usual, "runs": tmp_path / "runs", **changes})

    return create


@pytest.fixture
def session(new_session: Callable[..., Session]) -> Session:
    """A session on the toy task."""
    return new_session()
