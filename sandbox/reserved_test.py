"""One reserved test on its way to the ledger's next line about it: each seed in turn, then commit or refund.

Every step can be repeated after a crash. What to run and how it ended is told by SeedRun; the end is written here.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from harness import checkpoints
from harness.data.training import TrainingData
from harness.faults import Fault
from harness.files import is_regular, remove, write_atomically
from harness.launch import Interrupted
from harness.preflight.report import Report as PreflightReport
from sandbox.conditions import Conditions
from sandbox.document import Document
from sandbox.errors import MachineFault, RunFailed, Stopped
from sandbox.events import Commit, Refund, SeedScored, Stop
from sandbox.locks import cannot_write
from sandbox.outcome import result_json, sha256_of
from sandbox.seed_run import Failed, SeedRun, Void
from sandbox.seeds import joint_facts, mean_metrics
from sandbox.session import Session
from sandbox.state import SeedState, TestState


def edit_command(document: Document, line: int | None) -> str:
    """The command that edits the region around `line`, else the first."""
    ranges = [lines for lines in document.ranges if line is not None and line in lines]
    return f"linbench edit --range {(ranges or document.ranges)[0].option}"


def _checkpoint_of(run: SeedRun) -> str | None:
    """The sha256 of what a seed can go on from; None where there is nothing."""
    return sha256_of(run.folder.checkpoint) if is_regular(run.folder.checkpoint) else None


class ReservedTest:
    """A test that the ledger holds as reserved, in a folder whose lock this process holds."""

    def __init__(self, session: Session, number: int, conditions: Conditions, data: TrainingData, lock: int):
        self.session, self.conditions, self.data, self.lock = session, conditions, data, lock
        self.state = session.read()
        self.test = self.state.tests[number]
        self.folder = session.folder.test(number)

    def to_the_end(self, report: PreflightReport | None = None) -> TestState:
        """Train and score each seed that is left, then commit; `report` is what the check before found.

        Raises RunFailed, MachineFault (refunded, or to be resumed) or Stopped (to be resumed).
        """
        try:
            for seed in [seed for seed in self.test.all_seeds if seed not in self.test.by_seed]:
                scored = self._run(seed, report)
                if not self.test.seeds:
                    return self._commit("done", None, scored.metrics, scored.facts)
                self._keep_seed(seed, scored)
            every = [self.test.by_seed[seed] for seed in self.test.seeds]
            metrics = mean_metrics([found.metrics for found in every])
            return self._commit("done", None, metrics, joint_facts([found.facts for found in every]))
        except Interrupted:
            raise Stopped(
                f"Test {self.test.number} was interrupted. What it trained is kept, and going on costs nothing.",
                run="linbench test --resume",
            ) from None
        except OSError as error:
            raise cannot_write(self.folder.root, error) from error

    def _run(self, seed: int, report: PreflightReport | None) -> SeedState:
        run = SeedRun(self.session, self.state, self.test, seed, self.conditions, self.data, self.lock)
        try:
            scored = run.to_its_score(report)
        except Interrupted:
            self._note_stop(_checkpoint_of(run))
            raise
        except Failed as failed:
            self._end_badly(seed, failed, _checkpoint_of(run))
        except Void as void:
            self._end_invalid(seed, void)
        checkpoints.drop_kept(run.folder)
        return scored

    def _note_stop(self, checkpoint: str | None) -> None:
        """Record what the test can go on from: whoever has a shell could put another one there before it does."""
        if checkpoint is not None:
            with self.session.transact() as transaction:
                transaction.append(Stop(self.test.number, checkpoint))

    def _keep_seed(self, seed: int, scored: SeedState) -> None:
        """Record a seed's result; no folder of a later seed may hold what this one's processes could have put there."""
        for later in self.test.seeds:
            if later != seed and later not in self.test.by_seed:
                remove(self.session.folder.run(self.test.number, self.test.seeds, later).root)
        with self.session.transact() as transaction:
            event = SeedScored(self.test.number, seed, scored.metrics, scored.facts)
            self.test = transaction.append(event).tests[self.test.number]

    def _end_badly(self, seed: int, failed: Failed, checkpoint: str | None) -> NoReturn:
        fault = failed.fault
        if fault.refunded and self.state.refunds_given < self.state.start.tests:
            self._refund(seed, fault, checkpoint)
        traceback = {"traceback": failed.traceback} if failed.traceback else {}
        facts = {**failed.facts, **traceback, **self._failing(seed), "message": fault.message}
        self._commit("failed", fault.reason, {}, facts)
        said = f"Test {self.test.number} failed ({fault.reason}){self._at(seed)}: {fault.message}"
        raise RunFailed(
            "\n".join(filter(None, [said, failed.traceback, self._left()])),
            run=edit_command(self.state.document, failed.line) if failed.line else f"linbench runs {self.test.number}",
            line=failed.line,
        ) from failed

    def _end_invalid(self, seed: int, void: Void) -> NoReturn:
        """Keep the test and what was measured, where nothing ranks it; it is spent."""
        self._commit("invalid", void.reason, {}, {**void.facts, **self._failing(seed), "message": void.message})
        raise RunFailed(
            f"Test {self.test.number} is invalid ({void.reason}){self._at(seed)}: {void.message}.\n{self._left()}",
            run=edit_command(self.state.document, None),
        ) from void

    def _refund(self, seed: int, fault: Fault, checkpoint: str | None) -> NoReturn:
        resumable = checkpoint is not None or bool(self.test.by_seed)
        with self.session.transact() as transaction:
            transaction.append(Refund(self.test.number, fault.reason, fault.message, resumable, checkpoint))
        raise MachineFault(
            f"Test {self.test.number} was stopped ({fault.reason}){self._at(seed)}: {fault.message}. It is refunded.",
            run="linbench test --resume" if resumable else "linbench test",
        )

    def _left(self) -> str:
        return f"The test is spent; {self.state.budget_left} of {self.state.start.tests} test(s) left."

    def _failing(self, seed: int) -> dict[str, int]:
        return {"failed_seed": seed} if self.test.seeds else {}

    def _at(self, seed: int) -> str:
        """The seed that ended it, where the test has several."""
        return f" at seed {seed}" if self.test.seeds else ""

    def _commit(
        self, status: Any, reason: str | None, metrics: dict[str, float], facts: Mapping[str, Any]
    ) -> TestState:
        remove(self.folder.result)
        write_atomically(self.folder.result, result_json(self.test, status, reason, metrics, dict(facts)))
        with self.session.transact() as transaction:
            event = Commit(self.test.number, status, reason, metrics, dict(facts))
            return transaction.append(event).tests[self.test.number]
