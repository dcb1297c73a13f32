"""One reserved test on its way to the ledger's next line about it: train, score, then commit or refund.

Every step can be repeated after a crash. What to run and how it ended is the harness's to say; the end is written here.
"""

import dataclasses
import difflib
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from harness import checkpoints, stages
from harness.agent_traceback import agent_frames, format_frames
from harness.data.training import TrainingData
from harness.environment import harness_sha256
from harness.faults import Fault
from harness.files import IrregularFile, is_regular, read_regular, remove, write_atomically
from harness.launch import Exit, Interrupted
from harness.machine import gpu_names
from harness.metrics import read_evaluations
from harness.preflight.report import Report as PreflightReport
from harness.run_config import halve_micro_batch
from harness.scoring.report import Invalid
from harness.scoring.report import Report as ScoringReport
from sandbox.conditions import Conditions, as_it_ran, of_seed
from sandbox.document import Document, split_lines
from sandbox.errors import MachineFault, RunFailed, Stopped
from sandbox.events import Commit, Refund, SeedScored
from sandbox.figures import hidden_metrics
from sandbox.locks import cannot_write
from sandbox.outcome import facts_of, result_json, sha256_of
from sandbox.progress import TrainingProgress
from sandbox.receipts import receipt
from sandbox.seeds import joint_facts, mean_metrics
from sandbox.session import Session
from sandbox.state import TestState

MOST_REPORT_BYTES = 2**20
"""Of a preflight.json, which lies where the agent's code can write."""


def edit_command(document: Document, line: int | None) -> str:
    """The command that edits the region around `line`, else the first."""
    ranges = [lines for lines in document.ranges if line is not None and line in lines]
    return f"linbench edit --range {(ranges or document.ranges)[0].option}"


class ReservedTest:
    """A test that the ledger holds as reserved, in a folder whose lock this process holds."""

    def __init__(self, session: Session, number: int, conditions: Conditions, data: TrainingData, lock: int):
        self.session, self.conditions, self.data, self.lock = session, conditions, data, lock
        self.state = session.read()
        self.test = self.state.tests[number]
        self.begun = conditions
        """As the first seed's."""
        self.seed = self.test.seed
        """The one at work."""
        self.folder = session.folder.test(number)
        """That seed's."""
        self.startup_seconds: float | None = None
        self.parameters: int | None = None
        self.checkpoint_sha256: str | None = None
        """Of the checkpoint as it is scored."""
        self.harness_sha256 = harness_sha256()

    def to_the_end(self, report: PreflightReport | None = None) -> TestState:
        """Train and score each seed that is left, then commit; `report` is what the check before found.

        Raises RunFailed, MachineFault (refunded, or to be resumed) or Stopped (to be resumed).
        """
        try:
            for seed in [seed for seed in self.test.all_seeds if seed not in self.test.by_seed]:
                self._begin(seed, report)
                metrics, facts = self._train_and_score()
                if not self.test.seeds:
                    return self._done(metrics, facts)
                self._keep_seed(metrics, facts)
            scored = [self.test.by_seed[seed] for seed in self.test.seeds]
            return self._done(
                mean_metrics([found.metrics for found in scored]), joint_facts([found.facts for found in scored])
            )
        except IrregularFile as strange:
            self._fail(Fault("irregular_file", f"the script left its folder changed: {strange}"), {})
        except Interrupted:
            raise Stopped(
                f"Test {self.test.number} was interrupted. What it trained is kept, and going on costs nothing.",
                run="linbench test --resume",
            ) from None
        except OSError as error:
            raise cannot_write(self.folder.root, error) from error

    def _begin(self, seed: int, report: PreflightReport | None) -> None:
        """Turn to one seed: its folder, its config, and what an earlier attempt left of it."""
        self.seed, self.startup_seconds, self.checkpoint_sha256 = seed, None, None
        self.folder = self.session.folder.run(self.test.number, self.test.all_seeds, seed)
        self.folder.root.mkdir(exist_ok=True)
        self.conditions = of_seed(self.begun, seed)
        if is_regular(self.folder.checkpoint):
            self.conditions = as_it_ran(self.conditions, self.folder.run)
        self._write_folder(report if seed == self.test.seed else None)

    def _keep_seed(self, metrics: dict[str, float], facts: dict[str, Any]) -> None:
        """Record a seed's result; no folder of a later seed may hold what this one's processes could have put there."""
        for later in self.test.seeds:
            if later != self.seed and later not in self.test.by_seed:
                remove(self.session.folder.run(self.test.number, self.test.seeds, later).root)
        with self.session.transact() as transaction:
            event = SeedScored(self.test.number, self.seed, metrics, facts)
            self.test = transaction.append(event).tests[self.test.number]
        checkpoints.drop_kept(self.folder)

    def _done(self, metrics: dict[str, float], facts: dict[str, Any]) -> TestState:
        done = self._commit("done", None, metrics, facts)
        checkpoints.drop_kept(self.folder)
        return done

    def _write_folder(self, report: PreflightReport | None) -> None:
        """Put the test's folder together from the ledger; again after a crash, it comes to the same."""
        file = self.state.task.task.file
        template, source = split_lines(self.state.task.template), split_lines(self.test.source)
        folder = self.folder
        for path in (folder.source, folder.diff, folder.run, folder.preflight):
            if not is_regular(path):
                remove(path)
        for path in (folder.scores, folder.result):  # of this test before a crash; what comes later is not ours
            remove(path)
        write_atomically(self.folder.source, self.test.source)
        write_atomically(self.folder.diff, "".join(difflib.unified_diff(template, source, f"a/{file}", f"b/{file}")))
        if report is not None:
            write_atomically(self.folder.preflight, _indented(report))
        self.parameters = (report or self._earlier_report()).parameters
        stages.write_run_config(self.folder, self.conditions.config, self.data)

    def _train_and_score(self) -> tuple[dict[str, float], dict[str, Any]]:
        training, fault = self._train()
        if fault is not None:
            self._end_badly(fault, training, None, training.tail)
        if not os.path.lexists(self.folder.checkpoint):
            self._end_badly(Fault("error", "the script ended without writing its checkpoint"), training, None, "")
        self.checkpoint_sha256 = sha256_of(self.folder.checkpoint)
        self._require_untouched(training, None)
        stages.write_run_config(self.folder, self.conditions.config, self.data)
        score = self._score(training)
        self._require_untouched(training, score)
        if sha256_of(self.folder.checkpoint) != self.checkpoint_sha256:
            message = "the script changed its checkpoint while it was being scored"
            self._end_badly(Fault("error", message), training, score, "")
        write_atomically(self.folder.scores, _indented(score))
        self._require_believable(training, score)
        return dict(score.metrics), self._facts(training, score)

    def _score(self, training: Exit) -> ScoringReport:
        """What the evaluator measured, hidden metrics left out. The agent's code has no part in how it ends."""
        hidden, conditions = hidden_metrics(self.state.task.task), self.conditions
        shown = tuple(name for name in conditions.profile.metrics if name not in hidden)
        profile = msgspec.structs.replace(conditions.profile, metrics=shown)
        try:
            return stages.run_scoring(self.folder, conditions.config, profile, self.lock, conditions.isolation)
        except stages.MissingReport as missing:
            fault = missing.fault
            if not fault.refunded:
                fault = Fault("evaluation_not_started", f"the scoring process failed: {fault.message}")
            self._end_badly(fault, training, None, missing.ended.tail)

    def _require_untouched(self, training: Exit, score: ScoringReport | None) -> None:
        """End the test as invalid where something else than this process wrote what only it may write."""
        foreign = [path.name for path in (self.folder.result, self.folder.scores) if os.path.lexists(path)]
        if foreign:
            message = f"{' and '.join(foreign)} appeared in its folder, which nobody but linbench may write"
            self._end_invalid("foreign_result", message, training, score)
        if sha256_of(self.folder.source) != self.test.source_sha256:
            self._end_invalid("source_changed", "source.py is not what was tested", training, score)
        if harness_sha256() != self.harness_sha256:
            self._end_invalid("source_changed", "linbench's own code changed during the test", training, score)

    def _require_believable(self, training: Exit, score: ScoringReport) -> None:
        """End the test where the model could not be scored, or its figures prove nothing."""
        if score.error is not None and score.invalid is not None:
            self._end_invalid(score.invalid, score.error, training, score)
        if score.error is not None:
            message = f"the trained model could not be scored: {score.error}"
            self._end_badly(Fault(score.reason, message), training, score, score.traceback)
        floor = self.state.task.task.constraints.floor(self.test.profile)
        if floor is not None and "val_loss" in score.metrics and score.metrics["val_loss"] < floor:
            message = (
                f"its validation loss, {score.metrics['val_loss']:.4f}, is below {floor:g}, which no model of this "
                "size and training can reach by what it learned"
            )
            self._end_invalid("below_floor", message, training, score)

    def _train(self) -> tuple[Exit, Fault | None]:
        """Train; out of memory, and with no step done, once more with half the micro-batch and twice as many."""
        ended, fault = self._train_once()
        halved = halve_micro_batch(self.conditions.config)
        tries = fault is not None and fault.reason == "out_of_memory" and self.conditions.profile.halve_micro_batch
        if not tries or halved is None or is_regular(self.folder.checkpoint):
            return ended, fault
        print(f"linbench: out of memory; trying micro-batches of {halved.micro_batch_size}.", file=sys.stderr)
        self.conditions = dataclasses.replace(self.conditions, config=halved)
        stages.write_run_config(self.folder, halved, self.data)
        return self._train()

    def _train_once(self) -> tuple[Exit, Fault | None]:
        config, profile, placement = self.conditions.config, self.conditions.profile, self.conditions.placement
        isolation = self.conditions.isolation
        if placement.nodes > 1:
            print("linbench: on each of the other machines, in the same folders, run:", file=sys.stderr)
            print(stages.command_elsewhere(self.folder, config, profile, placement, isolation), file=sys.stderr)
        with TrainingProgress(config.max_iters, f"test {self.test.number}{self._which(', ')}") as progress:
            ended = stages.run_training(self.folder, config, profile, self.lock, progress.take, placement, isolation)
        self.startup_seconds = progress.startup_seconds
        return ended

    def _end_badly(self, fault: Fault, training: Exit, score: ScoringReport | None, output: str) -> NoReturn:
        if fault.refunded and self.state.refunds_given < self.state.start.tests:
            self._refund(fault)
        frames = agent_frames(output, self.folder.source)
        traceback = format_frames(frames, self.state.task.task.file)
        facts = {**self._facts(training, score), **({"traceback": traceback} if traceback else {})}
        self._fail(fault, facts, traceback, frames[-1].line if frames else None)

    def _fail(self, fault: Fault, facts: Mapping[str, Any], traceback: str = "", line: int | None = None) -> NoReturn:
        self._commit("failed", fault.reason, {}, {**facts, **self._failing(), "message": fault.message})
        left = f"The test is spent; {self.state.budget_left} of {self.state.start.tests} test(s) left."
        failed = f"Test {self.test.number} failed ({fault.reason}){self._which(' at ')}: {fault.message}"
        raise RunFailed(
            "\n".join(filter(None, [failed, traceback, left])),
            run=edit_command(self.state.document, line) if line else f"linbench runs {self.test.number}",
            line=line,
        )

    def _end_invalid(self, reason: Invalid, message: str, training: Exit, score: ScoringReport | None) -> NoReturn:
        """Keep the test and what was measured, where nothing ranks it; it is spent."""
        void = {"void_metrics": score.metrics} if score is not None and score.metrics else {}
        facts = {**self._facts(training, score), **self._failing(), **void, "message": message}
        self._commit("invalid", reason, {}, facts)
        left = f"The test is spent; {self.state.budget_left} of {self.state.start.tests} test(s) left."
        raise RunFailed(
            f"Test {self.test.number} is invalid ({reason}){self._which(' at ')}: {message}.\n{left}",
            run=edit_command(self.state.document, None),
        )

    def _refund(self, fault: Fault) -> NoReturn:
        resumable = bool(self.test.by_seed) or is_regular(self.folder.checkpoint)
        with self.session.transact() as transaction:
            transaction.append(Refund(self.test.number, fault.reason, fault.message, resumable))
        stopped = f"Test {self.test.number} was stopped ({fault.reason}){self._which(' at ')}"
        raise MachineFault(
            f"{stopped}: {fault.message}. It is refunded.",
            run="linbench test --resume" if resumable else "linbench test",
        )

    def _facts(self, training: Exit, score: ScoringReport | None) -> dict[str, Any]:
        return facts_of(
            self.conditions.config,
            self.data,
            self.state.task.template,
            self.parameters,
            training,
            self.startup_seconds,
            read_evaluations(self.folder.metrics),
            score,
            self.checkpoint_sha256,
            gpu_names()[: self.conditions.placement.gpus] * self.conditions.placement.nodes,
            receipt(self.conditions.config.device, self.conditions.isolation),
        )

    def _failing(self) -> dict[str, int]:
        return {"failed_seed": self.seed} if self.test.seeds else {}

    def _which(self, before: str) -> str:
        """The seed at work, where the test has several."""
        return f"{before}seed {self.seed}" if self.test.seeds else ""

    def _earlier_report(self) -> PreflightReport:
        """What the check found when the test was begun; nothing where it was stopped before, or it cannot be read."""
        try:
            content = read_regular(self.session.folder.test(self.test.number).preflight, MOST_REPORT_BYTES)
            return msgspec.json.decode(content, type=PreflightReport)
        except (FileNotFoundError, IrregularFile, msgspec.MsgspecError, UnicodeDecodeError):
            return PreflightReport()

    def _commit(
        self, status: Any, reason: str | None, metrics: dict[str, float], facts: Mapping[str, Any]
    ) -> TestState:
        result = self.session.folder.test(self.test.number).result
        remove(result)
        write_atomically(result, result_json(self.test, status, reason, metrics, dict(facts)))
        with self.session.transact() as transaction:
            event = Commit(self.test.number, status, reason, metrics, dict(facts))
            return transaction.append(event).tests[self.test.number]


def _indented(report: PreflightReport | ScoringReport) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
