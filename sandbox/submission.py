"""Making a test final: hidden metrics are measured, the leaderboard row goes into the ledger, the session is closed."""

import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from sandbox.conditions import conditions_of
from sandbox.errors import UsageError
from sandbox.events import Score, Submit
from sandbox.figures import best_test, hidden_metrics
from sandbox.fold import require_open, step
from sandbox.ledger import Entry
from sandbox.rescoring import Rescored, rescore_seeds
from sandbox.row import make_row
from sandbox.session import Session
from sandbox.state import SessionState, TestState
from sandbox.untouched import may_be_submitted


def submit(session: Session, number: int | None) -> tuple[SessionState, bool]:
    """Submit a test; the state after it, and whether this call did it (a repeated one changes nothing).

    Raises UsageError for a test that is not there or not done, and for a session in which another one is final.
    """
    state = session.read()
    if number is None:
        best = best_test(state)
        hint = f"linbench submit {best.number}" if best else "linbench test"
        raise UsageError("Which test? Give its number.", run=hint)
    if state.submitted == number:
        return state, False
    step(state, Entry(state.seq + 1, "", Submit(number, {}), ""))  # refuse before the metrics take their time
    _require_edited(state, state.tests[number])
    found = _measure_hidden(session, state.tests[number])
    with session.transact() as transaction:
        if transaction.state.submitted == number:
            return transaction.state, False
        event = Submit(number, {}, found.metrics, found.by_seed)
        row = _row(transaction.state, event)  # in the one event as well: hidden metrics are final or nowhere
        return transaction.append(msgspec.structs.replace(event, row=row)), True


def _require_edited(state: SessionState, test: TestState) -> None:
    """Raise UsageError for a run of the template as it is: it says nothing of the agent, and its session stays open."""
    if may_be_submitted(state, test):
        return
    best = best_test(state)
    edit = f"linbench edit --range {state.document.ranges[0].option}"
    raise UsageError(
        f"Test {test.number} ran the template as it is, or with a mechanism that costs more than the task allows "
        "(comments and layout do not count). It is a reference to measure against and earns no leaderboard row.",
        run=f"linbench submit {best.number}" if best else edit if state.budget_left else "linbench start",
    )


def _row(state: SessionState, event: Submit) -> dict[str, Any]:
    """The leaderboard's row of a test, hidden metrics among the others."""
    submitted = step(state, Entry(state.seq + 1, "", event, ""))
    row = make_row(submitted, event.test, datetime.now(UTC).isoformat(timespec="seconds"))
    return dict(msgspec.to_builtins(row))


def score_again(session: Session, number: int, test: TestState) -> tuple[SessionState, dict[str, str]]:
    """Measure what a finished test's scoring did not; the state after it, and what could not be measured, with why."""
    state = session.read()
    require_open(state)
    wanted = conditions_of(test).profile.metrics
    hidden = hidden_metrics(state.task.task)
    missing = tuple(name for name in wanted if name not in (test.metrics or {}) and name not in hidden)
    if not missing:
        return state, {}
    found = rescore_seeds(session, test, missing, f"linbench score {number}")
    if found.metrics:
        with session.transact() as transaction:
            state = transaction.append(Score(number, found.metrics, found.by_seed))
    return state, found.errors


def _measure_hidden(session: Session, test: TestState) -> Rescored:
    """The metrics that nobody could see before. What cannot be measured is named on stderr and left out of the row."""
    state = session.read()
    wanted = conditions_of(test).profile.metrics
    names = tuple(
        name for name in wanted if name in hidden_metrics(state.task.task) and name not in (test.metrics or {})
    )
    if not names:
        return Rescored({}, {}, {})
    found = rescore_seeds(session, test, names, f"linbench submit {test.number}")
    for name, why in found.errors.items():
        print(f"linbench: {name} is left out of the row: {why}", file=sys.stderr)
    return found
