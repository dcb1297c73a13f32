"""Making a test final: the leaderboard row goes into the ledger, and the session is closed."""

from datetime import UTC, datetime

import msgspec

from sandbox.errors import UsageError
from sandbox.events import Submit
from sandbox.figures import best_test
from sandbox.leaderboard import make_row
from sandbox.session import Session
from sandbox.state import SessionState


def submit(session: Session, number: int | None) -> tuple[SessionState, bool]:
    """Submit a test; the state after it, and whether this call did it (a repeated one changes nothing).

    Raises UsageError for a test that is not there or not done, and for a session in which another one is final.
    """
    with session.transact() as transaction:
        state = transaction.state
        if number is None:
            best = best_test(state)
            hint = f"linbench submit {best.number}" if best else "linbench test"
            raise UsageError("Which test? Give its number.", run=hint)
        if state.submitted == number:
            return state, False
        done = number in state.tests and state.tests[number].status == "done"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row = msgspec.to_builtins(make_row(state, number, now)) if done else {}
        return transaction.append(Submit(number, row)), True
