"""A test as a transaction: check, reserve, train, score, commit - or refund, when the machine is to blame.

Whatever happens in between, the ledger's reservation remains and `linbench test --resume` goes on from the last
checkpoint. Whoever begins or resumes a test holds its folder first, so that it never has two writers.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from msgspec import structs

from harness import stages
from harness.agent_traceback import agent_frames, format_frames
from harness.faults import Fault
from harness.files import remove, temporary_folder, write_atomically
from harness.launch import Busy, Exit, Interrupted, exclusive
from harness.preflight.report import UNCHECKED, Rules
from harness.preflight.report import Report as PreflightReport
from harness.run_config import without_paths
from harness.run_folder import RunFolder
from sandbox.adoption import adopt
from sandbox.conditions import Conditions, conditions_of, isolate, open_data
from sandbox.errors import BudgetSpent, MachineFault, RunFailed, Stopped, UsageError
from sandbox.events import Commit, Event, Reserve, Resume
from sandbox.fold import step
from sandbox.guards import check as guard
from sandbox.ledger import Entry
from sandbox.locks import cannot_write
from sandbox.reserved_test import ReservedTest, edit_command
from sandbox.rules import is_reference, room_of, rules_of
from sandbox.session import Session
from sandbox.state import SessionState, TestState


def check(session: Session, state: SessionState, conditions: Conditions) -> PreflightReport:
    """The free check: the guards on the whole file, then the preflight in a child process.

    Raises EditRefused for a script that is not whole, RunFailed for one whose model does not pass, MachineFault when
    the machine does not let it finish, Stopped on Ctrl-C.
    """
    warnings = guard(state.document, state.task.task.overrides, state.task.task.policy)
    tests = session.folder.test(0).root.parent
    try:
        tests.mkdir(exist_ok=True)
        with temporary_folder(tests, ".check-") as root:
            folder = RunFolder(root)
            write_atomically(folder.source, state.document.text)
            with exclusive(folder.lock) as lock:
                rules, room = rules_of(state), room_of(conditions)
                report = stages.run_preflight(folder, conditions.config, lock, rules, room, conditions.isolation)
            passed = _passed(report, folder, state)
        return structs.replace(passed, warnings=(*warnings, *passed.warnings))
    except stages.MissingReport as missing:
        raise _died(missing.fault, missing.ended, state) from missing
    except Interrupted:
        raise Stopped("The check was interrupted. No test was spent.", run="linbench check") from None
    except OSError as error:
        raise cannot_write(tests, error) from error


def _passed(report: PreflightReport, folder: RunFolder, state: SessionState) -> PreflightReport:
    if report.failed is None:
        return report
    file = state.task.task.file
    frames = agent_frames(report.traceback, folder.source)
    lines = f"\n{format_frames(frames, file)}" if frames else ""
    raise RunFailed(
        f"check failed at {report.failed!r}: {report.error}{lines}\nNo test was spent.",
        run=edit_command(state.document, frames[-1].line if frames else None),
        line=frames[-1].line if frames else None,
    )


def _died(fault: Fault, ended: Exit, state: SessionState) -> MachineFault | RunFailed:
    message = f"the check ended without an answer: {fault.message}. No test was spent.\n{ended.tail[-2000:]}".rstrip()
    if fault.refunded:
        return MachineFault(message, run="linbench check")
    return RunFailed(message, run=edit_command(state.document, None))


def run_test(session: Session, conditions: Conditions) -> TestState:
    """Check, reserve, train, score and commit one test of the script as it stands.

    Raises EditRefused, RunFailed (the test is then spent, unless the message says otherwise), BudgetSpent,
    MachineFault (nothing is spent) or Stopped (the test can be resumed).
    """
    state = adopt(session)
    with _holding_interrupted(session, state, conditions):
        _refuse_unlawful(state, _reservation(state, conditions))  # before the check takes its time
    data = open_data(conditions)
    report = check(session, state, conditions)
    with begin_test(session, state, conditions, report) as (number, lock):
        return ReservedTest(session, number, conditions, data, lock).to_the_end(report)


def resume_test(session: Session, endpoint: str | None = None) -> TestState:
    """Go on with the interrupted test from its last checkpoint, under the conditions that it was begun with."""
    state = session.read()
    waiting = state.open_test or next(
        (test for test in reversed(list(state.tests.values())) if test.status == "refunded" and test.resumable), None
    )
    if waiting is None:
        raise UsageError("No test was interrupted; there is nothing to resume.", run="linbench test")
    conditions = replace(conditions_of(waiting, endpoint), isolation=isolate(waiting.isolation))
    data = open_data(conditions)
    with _alone(session, waiting.number) as lock:
        with session.transact() as transaction:
            transaction.append(Resume(waiting.number))
        return ReservedTest(session, waiting.number, conditions, data, lock).to_the_end()


@contextmanager
def _holding_interrupted(session: Session, state: SessionState, conditions: Conditions) -> Iterator[None]:
    """Hold the folder of the test that was interrupted, if there is one, so that it can be given up.

    Raises UsageError when it is running, or when it is of this very script, since it can then be resumed.
    """
    waiting = state.open_test
    if waiting is None or state.closed:
        yield
        return
    with _alone(session, waiting.number):
        if (waiting.source_sha256, waiting.config_sha256) == (
            state.document.revision_sha(),
            conditions.config_sha256,
        ):
            raise UsageError(
                f"Test {waiting.number} of this very script was interrupted. Resuming it costs nothing.",
                run="linbench test --resume",
            )
        yield


def _reservation(state: SessionState, conditions: Conditions, report: PreflightReport = UNCHECKED) -> list[Event]:
    """What a new test comes to in the ledger: one that was interrupted is given up for it, and stays spent.

    `report` is what the check found, which the trained model is compared with.

    Raises BudgetSpent when resuming that one is all that can still be done.
    """
    waiting = state.open_test
    if waiting is not None and state.budget_left < 1:
        raise BudgetSpent(
            f"All {state.start.tests} tests of this session are spent. Test {waiting.number}, which was interrupted, "
            "can go on with the script that it began with.",
            run="linbench test --resume",
        )
    given_up = [] if waiting is None else [Commit(waiting.number, "failed", "abandoned", {}, {})]
    reserve = Reserve(
        test=len(state.tests) + 1,
        revision=state.revision,
        source_sha256=state.document.revision_sha(),
        profile=conditions.profile.name,
        seed=conditions.config.seed,
        config=without_paths(conditions.config),
        config_sha256=conditions.config_sha256,
        gpus=conditions.placement.gpus,
        nodes=conditions.placement.nodes,
        seeds=state.start.seeds,
        isolation=conditions.isolation,
        reference=is_reference(state),
        most_numbers=Rules(parameters=state.task.task.constraints.parameter_ceiling).limit(report.baseline),
        stored=report.stored,
    )
    return [*given_up, reserve]


def _refuse_unlawful(state: SessionState, events: list[Event]) -> None:
    """Raise what the ledger would raise at these events."""
    for event in events:
        state = step(state, Entry(state.seq + 1, "", event, ""))


@contextmanager
def begin_test(
    session: Session, state: SessionState, conditions: Conditions, report: PreflightReport = UNCHECKED
) -> Iterator[tuple[int, int]]:
    """Spend one test on the script that was checked, and hold its folder: gives its number and the lock."""
    with ExitStack() as held:
        with session.transact() as transaction, _holding_interrupted(session, transaction.state, conditions):
            if transaction.state.revision != state.revision:
                raise UsageError(
                    f"The script changed during the check, from revision {state.revision} to "
                    f"{transaction.state.revision}. No test was spent.",
                    run="linbench test",
                )
            events = _reservation(transaction.state, conditions, report)
            _refuse_unlawful(transaction.state, events)
            number = len(transaction.state.tests) + 1
            lock = held.enter_context(_alone(session, number))
            _clear(session.folder.test(number))
            _report_given_up(transaction.state.open_test)
            for event in events:
                transaction.append(event)
        yield number, lock


def _clear(folder: RunFolder) -> None:
    """Leave nothing in a new test's folder: a checkpoint that lies there would be trained on."""
    try:
        for path in folder.root.iterdir():
            if path != folder.lock:
                remove(path)
    except OSError as error:
        raise cannot_write(folder.root, error) from error


def _report_given_up(waiting: TestState | None) -> None:
    if waiting is not None:
        print(f"linbench: test {waiting.number}, which was interrupted, is given up for this one.", file=sys.stderr)


@contextmanager
def _alone(session: Session, number: int) -> Iterator[int]:
    """Hold the folder of a test against every other process. Raises UsageError while one of its processes lives."""
    folder = session.folder.test(number)
    with ExitStack() as held:
        try:
            folder.root.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context(exclusive(folder.lock))
        except Busy as busy:
            raise UsageError(
                f"Test {number} is still running, in {busy}. Wait for it, or end it first.", run="linbench status"
            ) from busy
        except OSError as error:
            raise cannot_write(folder.root, error) from error
        yield lock
