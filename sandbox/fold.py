"""The pure fold that turns a ledger's entries into a session's state, and the rules on what may follow what.

`step` serves twice: it refuses an unlawful event before it is written, and finds one in a ledger that was forged.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sandbox.document import Document, Frame
from sandbox.errors import BudgetSpent, LedgerDamaged, LinbenchError, UsageError
from sandbox.events import (
    Commit,
    Edit,
    Redo,
    Refund,
    Reserve,
    Reset,
    Resume,
    Score,
    SeedScored,
    Start,
    Stop,
    Submit,
    TextChange,
    Undo,
)
from sandbox.ledger import Entry
from sandbox.state import Revision, SeedState, SessionState, TestState
from sandbox.untouched import may_be_submitted


def fold(entries: Iterable[Entry]) -> SessionState:
    """The state after `entries`. Raises LedgerDamaged naming the first line whose event is not lawful."""
    state: SessionState | None = None
    for entry in entries:
        try:
            state = step(state, entry)
        except LinbenchError as error:
            raise LedgerDamaged(
                f"Line {entry.seq} of the ledger holds an event that is not lawful there: {error.message}",
                run="linbench start",
            ) from error
    if state is None:
        raise LedgerDamaged("The ledger holds no event.", run="linbench start")
    return state


def step(state: SessionState | None, entry: Entry) -> SessionState:
    """The state after one more entry. Raises UsageError or BudgetSpent when its event is not lawful now."""
    if state is None:
        return _start(entry)
    require_open(state)
    return replace(_after(state, entry), seq=entry.seq)


def require_open(state: SessionState) -> None:
    """Raise UsageError when the session is closed: nothing may follow a submission."""
    if state.closed:
        raise UsageError(
            f"Session {state.start.session} is closed: test {state.submitted} was submitted. Open a new session.",
            run="linbench start",
        )


def _after(state: SessionState, entry: Entry) -> SessionState:
    match entry.event:
        case Edit() | Undo() | Redo() | Reset() as event:
            return _change_text(state, event, entry)
        case Reserve() as event:
            return _reserve(state, event, entry)
        case SeedScored() as event:
            return _seed_scored(state, event)
        case Resume() as event:
            return _resume(state, event)
        case Stop() as event:
            return _stop(state, event)
        case Commit() | Refund() as event:
            return _end(state, event, entry)
        case Score() as event:
            return _score(state, event)
        case Submit() as event:
            return _submit(state, event)
        case Start():
            raise UsageError(f"Session {state.start.session} has already been started.", run="linbench status")


def _start(entry: Entry) -> SessionState:
    start = entry.event
    if not isinstance(start, Start):
        raise UsageError(
            f"A session begins with its start, not with {type(start).__name__.lower()}.", run="linbench start"
        )
    task = start.task.task
    frame = Frame(task.file, task.regions, start.task.template)
    template = Revision(Document.original(frame).contents, True, "The template.", entry.seq, entry.time)
    return SessionState(start, entry.time, entry.seq, frame, (template,))


def _change_text(state: SessionState, event: TextChange, entry: Entry) -> SessionState:
    if state.actions_left == 0:
        raise BudgetSpent(f"All {state.revision} edits of this session are spent.", run="linbench test")
    match event:
        case Edit():
            return _branch(state, Revision(event.contents, event.whole, event.summary, entry.seq, entry.time))
        case Reset():
            back = replace(state.revisions[0], summary="Reset to the template.", seq=entry.seq, time=entry.time)
            return _branch(state, back)
        case Undo():
            _require_steps(event.steps, state.undoable, "undo")
            position = state.position - event.steps
            summary = f"Undid {event.steps} change(s)."
        case Redo():
            _require_steps(event.steps, state.redoable, "redo")
            position = state.position + event.steps
            summary = f"Redid {event.steps} change(s)."
    target = state.revisions[state.history[position]]
    moved = replace(target, summary=summary, seq=entry.seq, time=entry.time)
    return replace(state, revisions=(*state.revisions, moved), position=position)


def _branch(state: SessionState, revision: Revision) -> SessionState:
    """Add a revision that undo can come back from; what could be redone before is dropped."""
    history = (*state.history[: state.position + 1], len(state.revisions))
    return replace(state, revisions=(*state.revisions, revision), history=history, position=state.position + 1)


def _require_steps(steps: int, possible: int, what: str) -> None:
    if steps < 1:
        raise UsageError(f"Cannot {what} {steps} changes: give a number from 1 up.", run=f"linbench {what}")
    if possible == 0:
        raise UsageError(f"There is nothing to {what}.", run="linbench show")
    if steps > possible:
        raise UsageError(
            f"Cannot {what} {steps} changes: there are only {possible}.", run=f"linbench {what} {possible}"
        )


def _reserve(state: SessionState, event: Reserve, entry: Entry) -> SessionState:
    _require_no_open_test(state)
    _require_budget(state)
    number = len(state.tests) + 1
    if event.test != number:
        raise UsageError(f"The next test is {number}, not {event.test}.", run="linbench test")
    if not 0 <= event.revision <= state.revision:
        raise UsageError(f"There is no revision {event.revision}: the newest is {state.revision}.", run="linbench test")
    document = state.document_at(event.revision)
    if document.revision_sha() != event.source_sha256:
        raise UsageError(f"The tested source is not revision {event.revision} of the script.", run="linbench test")
    test = TestState(
        number=number,
        status="reserved",
        revision=event.revision,
        source=document.text,
        source_sha256=event.source_sha256,
        profile=event.profile,
        seed=event.seed,
        config=event.config,
        config_sha256=event.config_sha256,
        gpus=event.gpus,
        nodes=event.nodes,
        isolation=event.isolation,
        reference=event.reference,
        began=entry.time,
        seeds=event.seeds,
        most_numbers=event.most_numbers,
        stored=event.stored,
    )
    return _with_test(state, test)


def _seed_scored(state: SessionState, event: SeedScored) -> SessionState:
    test = _find_test(state, event.test)
    left = [seed for seed in test.seeds if seed not in test.by_seed]
    if test.status != "reserved" or left[:1] != [event.seed]:
        raise UsageError(f"Test {test.number} does not wait for seed {event.seed}.", run="linbench status")
    by_seed = {**test.by_seed, event.seed: SeedState(event.metrics, event.facts)}
    return _with_test(state, replace(test, by_seed=by_seed, resumed_from=None))


def _resume(state: SessionState, event: Resume) -> SessionState:
    test = _find_test(state, event.test)
    if test.status == "refunded" and test.resumable:
        _require_no_open_test(state)
        _require_budget(state)
    elif test.status != "reserved":
        raise UsageError(f"Test {test.number} is {test.status}; there is nothing to resume.", run="linbench test")
    begun = replace(test, status="reserved", ended=None, reason=None, detail="", resumable=False)
    return _with_test(state, replace(begun, resumes=test.resumes + 1, resumed_from=test.stopped_at, stopped_at=None))


def _stop(state: SessionState, event: Stop) -> SessionState:
    test = _find_test(state, event.test)
    if test.status != "reserved":
        raise UsageError(f"Test {test.number} is {test.status}; it cannot be stopped.", run="linbench status")
    return _with_test(state, replace(test, stopped_at=event.checkpoint_sha256))


def _end(state: SessionState, event: Commit | Refund, entry: Entry) -> SessionState:
    test = _find_test(state, event.test)
    if test.status != "reserved":
        raise UsageError(f"Test {test.number} has already ended: it is {test.status}.", run="linbench status")
    outcome: dict[str, Any]
    if isinstance(event, Commit):
        if event.status == "done" and set(test.by_seed) != set(test.seeds):
            raise UsageError(f"Test {test.number} has seeds that are not scored.", run="linbench test --resume")
        outcome = {"status": event.status, "metrics": event.metrics, "facts": event.facts}
    else:
        outcome = {"status": "refunded", "detail": event.detail, "resumable": event.resumable}
        outcome |= {"refunds": test.refunds + 1, "stopped_at": event.checkpoint_sha256}
    return _with_test(state, replace(test, ended=entry.time, reason=event.reason, **outcome))


def _score(state: SessionState, event: Score) -> SessionState:
    """Add what was not measured before; a figure that is there stays as it is."""
    test = _find_test(state, event.test)
    if test.status != "done":
        raise UsageError(
            f"Test {test.number} is {test.status}; only a finished test is scored again.", run=_next(state)
        )
    return _with_test(state, _measured(test, event))


def _measured(test: TestState, event: Score | Submit) -> TestState:
    facts = dict(test.facts or {})
    missing = {name: why for name, why in facts.pop("not_measured", {}).items() if name not in event.metrics}
    facts |= {"not_measured": missing} if missing else {}
    by_seed = {
        seed: replace(found, metrics={**event.by_seed.get(seed, {}), **found.metrics})
        for seed, found in test.by_seed.items()
    }
    return replace(test, metrics={**event.metrics, **(test.metrics or {})}, facts=facts, by_seed=by_seed)


def _submit(state: SessionState, event: Submit) -> SessionState:
    _require_no_open_test(state)
    test = _find_test(state, event.test)
    if test.status != "done":
        why = f" ({test.reason})" if test.reason else ""
        raise UsageError(
            f"Test {test.number} is {test.status}{why} and cannot be submitted. {_submittable(state)}", run=_next(state)
        )
    measured = _with_test(state, _measured(test, event))
    return replace(measured, submitted=test.number, row=event.row)


def _with_test(state: SessionState, test: TestState) -> SessionState:
    return replace(state, tests={**state.tests, test.number: test})


def _find_test(state: SessionState, number: int) -> TestState:
    if number in state.tests:
        return state.tests[number]
    where = f"The session is {state.start.session}."
    raise UsageError(f"There is no test {number}. {_submittable(state)} {where}", run=_next(state))


def _submittable(state: SessionState) -> str:
    done = [test for test in state.tests.values() if test.status == "done"]
    edited = [str(test.number) for test in done if may_be_submitted(state, test)]
    if done and not edited:
        return "Only references were tested, such as the untouched template; they earn no row."
    return f"Tests that are done: {', '.join(edited)}." if done else "No test is done yet."


def _next(state: SessionState) -> str:
    done = [test.number for test in state.tests.values() if may_be_submitted(state, test)]
    if done:
        return f"linbench submit {done[-1]}"
    return "linbench test" if state.budget_left else "linbench start"


def _require_no_open_test(state: SessionState) -> None:
    if state.open_test is not None:
        raise UsageError(
            f"Test {state.open_test.number} was begun and has not ended: it is running, or was interrupted.",
            run="linbench test --resume",
        )


def _require_budget(state: SessionState) -> None:
    if state.budget_left < 1:
        raise BudgetSpent(
            f"All {state.start.tests} tests of this session are spent. {_submittable(state)}", run=_next(state)
        )
