"""A ledger of toy events, folded: the state that they amount to, or why the last one of them is refused."""

import hashlib
from collections.abc import Callable
from typing import Any, Literal

import pytest

from sandbox.errors import LedgerDamaged, LinbenchError
from sandbox.events import Event, Reserve, Start
from sandbox.fold import fold
from sandbox.ledger import Entry
from sandbox.schema import Region
from sandbox.state import SessionState
from sandbox.task_schema import Budget, Task
from sandbox.tasks import LoadedTask

TEMPLATE = "# head\na = 1\n# tail\n"


@pytest.fixture(scope="session")
def template() -> str:
    """A script whose second line is its region."""
    return TEMPLATE


@pytest.fixture(scope="session")
def started() -> Callable[..., Start]:
    """Makes the start of a session with a budget of three tests.

    A baseline's, if not said otherwise: it may submit the template, which most tests leave as it is.
    """

    def make(tests: int = 3, actions: int | None = None, kind: Literal["agent", "baseline"] = "baseline") -> Start:
        task = Task(id="t", template="t.py", file="t.py", regions=(Region("r", 2, 2),), budget=Budget(tests, actions))
        return Start(LoadedTask(task, "", TEMPLATE), "s", "tester", "agent", kind, "smoke", tests, 42, "0")

    return make


@pytest.fixture(scope="session")
def state_after(started: Callable[..., Start]) -> Callable[..., SessionState]:
    """Folds a start and the given events; keyword arguments are those of the start."""

    def fold_events(*events: Event, **start: Any) -> SessionState:
        return fold(Entry(seq, f"time {seq}", event, "") for seq, event in enumerate([started(**start), *events], 1))

    return fold_events


@pytest.fixture(scope="session")
def refusal(state_after: Callable[..., SessionState]) -> Callable[..., LinbenchError]:
    """The error of the last of the given events; those before it must be lawful."""

    def refuse(*events: Event, **start: Any) -> LinbenchError:
        state_after(*events[:-1], **start)
        with pytest.raises(LedgerDamaged, match=f"^Line {len(events) + 1} ") as caught:
            state_after(*events, **start)
        assert isinstance(caught.value.__cause__, LinbenchError)
        return caught.value.__cause__

    return refuse


@pytest.fixture(scope="session")
def reserve() -> Callable[..., Reserve]:
    """Reserves a test of this number, of the template; keyword arguments change the reservation."""

    def make(test: int, **changes: Any) -> Reserve:
        usual = {"revision": 0, "source_sha256": hashlib.sha256(TEMPLATE.encode()).hexdigest(), "profile": "smoke"}
        numbers = {"seed": 42, "config": {"max_iters": 10}, "config_sha256": "c" * 64}
        return Reserve(**{**usual, **numbers, "test": test, **changes})

    return make
