"""A test as a transaction: check, reserve, train, score, commit - or refund, when the machine is to blame.

Whatever happens in between, the ledger's reservation remains and `linbench test --resume` goes on from the last
checkpoint. Only the end is written here; what to run and how it ended is the harness's to say.
"""

import difflib
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from harness import stages
from harness.agent_traceback import agent_frames, format_frames
from harness.data.training import TrainingData
from harness.faults import Fault
from harness.files import write_atomically
from harness.launch import Busy, Exit, Interrupted, exclusive
from harness.metrics import read_evaluations
from harness.preflight.report import Report as PreflightReport
from harness.profiles import load_profile
from harness.run_config import RunConfig, without_paths
from harness.run_folder import RunFolder
from harness.scoring.report import Report as ScoringReport
from sandbox.adoption import adopt
from sandbox.conditions import Conditions, open_data
from sandbox.document import Document, split_lines
from sandbox.errors import MachineFault, RunFailed, UsageError
from sandbox.events import Commit, Refund, Reserve, Resume
from sandbox.guards import check as guard
from sandbox.locks import cannot_write
from sandbox.outcome import facts_of, result_json
from sandbox.progress import TrainingProgress
from sandbox.session import Session
from sandbox.state import SessionState, TestState


class TestInterrupted(MachineFault):
    """Ctrl-C or SIGTERM ended linbench while a test ran; the test can be resumed at no cost."""

    __test__ = False
    exit_code = 130


def check(session: Session, state: SessionState, conditions: Conditions) -> PreflightReport:
    """The free check: the guards on the whole file, then the preflight in a child process.

    Raises EditRefused for a script that is not whole, RunFailed for one whose model does not pass.
    """
    guard(state.document, state.task.task.overrides)
    tests = session.folder.test(0).root.parent
    try:
        tests.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".check-", dir=tests) as name:
            folder = RunFolder(Path(name))
            write_atomically(folder.source, state.document.text)
            with exclusive(folder.lock) as lock:
                report = stages.run_preflight(folder, conditions.config, lock)
            return _passed(report, folder, state)
    except stages.MissingReport as missing:
        raise _died("check", missing.fault, missing.ended) from missing
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
        run=_edit_command(state.document, frames[-1].line if frames else None),
        line=frames[-1].line if frames else None,
    )


def _died(stage: str, fault: Fault, ended: Exit) -> MachineFault | RunFailed:
    message = f"the {stage} ended without an answer: {fault.message}. No test was spent.\n{ended.tail[-2000:]}".rstrip()
    return (MachineFault if fault.refunded else RunFailed)(message, run="linbench check")


def _edit_command(document: Document, line: int | None) -> str:
    ranges = [lines for lines in document.ranges if line is not None and line in lines]
    return f"linbench edit --range {(ranges or document.ranges)[0].option}"


def run_test(session: Session, conditions: Conditions) -> TestState:
    """Check, reserve, train, score and commit one test of the script as it stands.

    Raises EditRefused, RunFailed (the test is then spent, unless the message says otherwise), BudgetSpent,
    MachineFault (nothing is spent) or TestInterrupted.
    """
    state = adopt(session)
    _require_no_interrupted(session, state, conditions)
    if state.budget_left < 1 and state.open_test is None:
        _reserve(session, state, conditions)  # refuses, in the ledger's own words
    data = open_data(conditions.profile)
    report = check(session, state, conditions)
    number = _reserve(session, state, conditions)
    return _run(session, number, data, report)


def resume_test(session: Session) -> TestState:
    """Go on with the interrupted test from its last checkpoint, under the conditions that it was begun with."""
    state = session.read()
    waiting = state.open_test or next(
        (test for test in reversed(list(state.tests.values())) if test.status == "refunded" and test.resumable), None
    )
    if waiting is None:
        raise UsageError("No test was interrupted; there is nothing to resume.", run="linbench test")
    _require_idle(session, waiting.number)
    data = open_data(load_profile(waiting.profile))
    with session.transact() as transaction:
        transaction.append(Resume(waiting.number))
    return _run(session, waiting.number, data, None)


def _require_no_interrupted(session: Session, state: SessionState, conditions: Conditions) -> None:
    """An interrupted test of this very script is to be resumed; one of another script is given up."""
    waiting = state.open_test
    if waiting is None or state.closed:
        return
    _require_idle(session, waiting.number)
    same = waiting.source_sha256 == state.document.revision_sha() and waiting.config_sha256 == conditions.config_sha256
    if same:
        raise UsageError(
            f"Test {waiting.number} of this very script was interrupted. Resuming it costs nothing.",
            run="linbench test --resume",
        )
    with session.transact() as transaction:
        transaction.append(Commit(waiting.number, "failed", "abandoned", {}, {}))
    print(f"linbench: test {waiting.number}, interrupted before, is given up for the new script.", file=sys.stderr)


def _require_idle(session: Session, number: int) -> None:
    folder = session.folder.test(number)
    if folder.root.is_dir():
        try:
            with exclusive(folder.lock):
                return
        except Busy as busy:
            raise UsageError(
                f"Test {number} is still running, in {busy}. Wait for it, or end it first.", run="linbench status"
            ) from busy


def _reserve(session: Session, state: SessionState, conditions: Conditions) -> int:
    with session.transact() as transaction:
        if transaction.state.revision != state.revision:
            raise UsageError(
                f"The script changed during the check, from revision {state.revision} to "
                f"{transaction.state.revision}. No test was spent.",
                run="linbench test",
            )
        number = len(transaction.state.tests) + 1
        transaction.append(
            Reserve(
                test=number,
                revision=state.revision,
                source_sha256=state.document.revision_sha(),
                profile=conditions.profile.name,
                seed=conditions.config.seed,
                config=without_paths(conditions.config),
                config_sha256=conditions.config_sha256,
            )
        )
    return number


def _run(session: Session, number: int, data: TrainingData, report: PreflightReport | None) -> TestState:
    """Train and score a reserved test and write its end into the ledger."""
    state = session.read()
    test, folder = state.tests[number], session.folder.test(number)
    config = msgspec.convert(test.config, RunConfig)
    try:
        _write_folder(state, test, folder, report)
        with exclusive(folder.lock) as lock:
            stages.write_run_config(folder, config, data)
            return _Run(session, state, test, data, config, lock).to_the_end()
    except Interrupted:
        raise TestInterrupted(
            f"Test {number} was interrupted. Its checkpoint is kept, and going on costs nothing.",
            run="linbench test --resume",
        ) from None
    except Busy as busy:
        raise UsageError(f"Test {number} is still running, in {busy}.", run="linbench status") from busy
    except OSError as error:
        raise cannot_write(folder.root, error) from error


def _write_folder(state: SessionState, test: TestState, folder: RunFolder, report: PreflightReport | None) -> None:
    """Put the test's folder together from the ledger; again after a crash, it comes to the same."""
    folder.root.mkdir(parents=True, exist_ok=True)
    file = state.task.task.file
    diff = difflib.unified_diff(split_lines(state.task.template), split_lines(test.source), f"a/{file}", f"b/{file}")
    write_atomically(folder.source, test.source)
    write_atomically(folder.diff, "".join(diff))
    if report is not None:
        write_atomically(folder.preflight, msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")


class _Run:
    """One reserved test on its way to the ledger's next line about it."""

    def __init__(
        self, session: Session, state: SessionState, test: TestState, data: TrainingData, config: RunConfig, lock: int
    ):
        self.session, self.state, self.test, self.data, self.config = session, state, test, data, config
        self.lock = lock
        self.folder = session.folder.test(test.number)
        self.profile = load_profile(test.profile)
        self.startup_seconds: float | None = None

    def to_the_end(self) -> TestState:
        """Train, score, commit."""
        training, fault = self._train()
        if fault is not None:
            self._end_badly(fault, training)
        try:
            score = stages.run_scoring(self.folder, self.config, self.profile, self.lock)
        except stages.MissingReport as missing:
            fault = missing.fault
            if not fault.refunded:
                fault = Fault("evaluation_not_started", f"the scoring process failed: {fault.message}")
            self._end_badly(fault, training)
        if score.error is not None:
            self._end_badly(Fault("error", f"the trained model could not be scored: {score.error}"), training, score)
        return self._commit("done", None, dict(score.metrics), self._facts(training, score))

    def _train(self) -> tuple[Exit, Fault | None]:
        title = f"test {self.test.number}"
        with TrainingProgress(self.config.max_iters, title) as progress:
            ended = stages.run_training(self.folder, self.config, self.profile, self.lock, progress.take)
        self.startup_seconds = progress.startup_seconds
        return ended

    def _end_badly(self, fault: Fault, training: Exit, score: ScoringReport | None = None) -> NoReturn:
        if fault.refunded and self.state.refunds < self.state.start.tests:
            self._refund(fault)
        text = score.traceback if score else training.tail
        frames = agent_frames(text, self.folder.source)
        traceback = format_frames(frames, self.state.task.task.file)
        facts = {**self._facts(training, score), "message": fault.message}
        self._commit("failed", fault.reason, {}, {**facts, **({"traceback": traceback} if traceback else {})})
        line = frames[-1].line if frames else None
        raise RunFailed(
            "\n".join(filter(None, [f"Test {self.test.number} failed ({fault.reason}): {fault.message}", traceback])),
            run=_edit_command(self.state.document, line) if line else f"linbench runs {self.test.number}",
            line=line,
        )

    def _refund(self, fault: Fault) -> NoReturn:
        resumable = self.folder.checkpoint.is_file()
        with self.session.transact() as transaction:
            transaction.append(Refund(self.test.number, fault.reason, fault.message, resumable))
        raise MachineFault(
            f"Test {self.test.number} was stopped ({fault.reason}): {fault.message}. It is refunded.",
            run="linbench test --resume" if resumable else "linbench test",
        )

    def _facts(self, training: Exit, score: ScoringReport | None) -> dict[str, Any]:
        return facts_of(
            self.config,
            self.data,
            self.state.task.template,
            self._parameters(),
            training,
            self.startup_seconds,
            read_evaluations(self.folder.metrics),
            score,
        )

    def _parameters(self) -> int | None:
        if not self.folder.preflight.is_file():
            return None
        return msgspec.json.decode(self.folder.preflight.read_bytes(), type=PreflightReport).parameters

    def _commit(
        self, status: Any, reason: str | None, metrics: dict[str, float], facts: Mapping[str, Any]
    ) -> TestState:
        write_atomically(self.folder.result, result_json(self.test, status, reason, metrics, dict(facts)))
        with self.session.transact() as transaction:
            event = Commit(self.test.number, status, reason, metrics, dict(facts))
            return transaction.append(event).tests[self.test.number]
