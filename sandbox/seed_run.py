"""One seed of a reserved test: its folder, its training, its scoring. It tells how it ended and touches no ledger."""

import dataclasses
import difflib
import os
import sys
from typing import Any, NoReturn

import msgspec

from harness import checkpoints, stages
from harness.agent_traceback import agent_frames, format_frames
from harness.data.training import TrainingData
from harness.environment import harness_sha256
from harness.faults import Fault
from harness.files import IrregularFile, is_regular, read_regular, remove, write_atomically
from harness.launch import Exit
from harness.machine import gpu_names
from harness.metrics import read_evaluations
from harness.preflight.report import MOST_REPORT_BYTES, UNCHECKED
from harness.preflight.report import Report as PreflightReport
from harness.run_config import halve_micro_batch
from harness.scoring.report import Allowed, Invalid
from harness.scoring.report import Report as ScoringReport
from sandbox.conditions import Conditions, as_it_ran, of_seed
from sandbox.document import split_lines
from sandbox.figures import hidden_metrics
from sandbox.outcome import facts_of, sha256_of
from sandbox.progress import TrainingProgress
from sandbox.receipts import receipt
from sandbox.session import Session
from sandbox.state import SeedState, SessionState, TestState


class Failed(Exception):
    """The run has no result: by a fault of the agent's code, or of the machine."""

    def __init__(self, fault: Fault, facts: dict[str, Any], traceback: str = "", line: int | None = None):
        super().__init__(fault.message)
        self.fault, self.facts, self.traceback, self.line = fault, facts, traceback, line


class Void(Exception):
    """The run was scored, and its figures prove nothing."""

    def __init__(self, reason: Invalid, message: str, facts: dict[str, Any]):
        super().__init__(message)
        self.reason, self.message, self.facts = reason, message, facts


class SeedRun:
    """A seed's run in its folder, which this process holds by the lock of the whole test."""

    def __init__(
        self,
        session: Session,
        state: SessionState,
        test: TestState,
        seed: int,
        begun: Conditions,
        data: TrainingData,
        lock: int,
    ):
        self.state, self.test, self.seed, self.data, self.lock = state, test, seed, data, lock
        self.folder = session.folder.run(test.number, test.all_seeds, seed)
        self.checked = session.folder.test(test.number).preflight
        """What the check found, in the first seed's folder."""
        self.conditions = of_seed(begun, seed)
        self.startup_seconds: float | None = None
        self.parameters: int | None = None
        self.checkpoint_sha256: str | None = None
        """Of the checkpoint as it is scored."""
        self.harness_sha256 = harness_sha256()

    def to_its_score(self, report: PreflightReport | None = None) -> SeedState:
        """Train, from a checkpoint where there is one, and score; `report` is what the check before found.

        Raises Failed, Void, Interrupted on Ctrl-C, or OSError.
        """
        try:
            self.folder.root.mkdir(exist_ok=True)
            self._require_own_checkpoint()
            if is_regular(self.folder.checkpoint):
                self.conditions = as_it_ran(self.conditions, self.folder.run)
            self._write_folder(report)
            return self._train_and_score()
        except IrregularFile as strange:
            raise Failed(Fault("irregular_file", f"the script left its folder changed: {strange}"), {}) from strange

    def _require_own_checkpoint(self) -> None:
        """Go on from the checkpoint that the test was stopped with, where its hash was recorded. Raises Void."""
        recorded = self.test.resumed_from
        if recorded is None:
            return
        for path in (self.folder.checkpoint, *checkpoints.kept(self.folder)):
            if is_regular(path) and sha256_of(path) == recorded:
                if path != self.folder.checkpoint:
                    checkpoints.put_in_place(self.folder, path)
                return
        if os.path.lexists(self.folder.checkpoint):
            message = f"ckpt.pt is not the checkpoint that the test was stopped with, whose sha256 was {recorded}"
            raise Void("checkpoint_changed", message, {})
        print("linbench: the checkpoint is gone, and the training begins again.", file=sys.stderr)

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
        if report is not None and self.folder.preflight == self.checked:
            write_atomically(self.checked, _indented(report))
        self.parameters = (report or self._earlier_report()).parameters
        stages.write_run_config(self.folder, self.conditions.config, self.data)

    def _train_and_score(self) -> SeedState:
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
        return SeedState(dict(score.metrics), self._facts(training, score))

    def _score(self, training: Exit) -> ScoringReport:
        """What the evaluator measured, hidden metrics left out. The agent's code has no part in how it ends."""
        hidden, conditions = hidden_metrics(self.state.task.task), self.conditions
        shown = tuple(name for name in conditions.profile.metrics if name not in hidden)
        profile = msgspec.structs.replace(conditions.profile, metrics=shown)
        try:
            config, isolation = conditions.config, conditions.isolation
            allowed = Allowed(numbers=self.test.most_numbers, stored=self.test.stored)
            return stages.run_scoring(self.folder, config, profile, self.lock, isolation, allowed)
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
        title = f"test {self.test.number}" + (f", seed {self.seed}" if self.test.seeds else "")
        with TrainingProgress(config.max_iters, title) as progress:
            ended = stages.run_training(self.folder, config, profile, self.lock, progress.take, placement, isolation)
        self.folder.root.chmod(0o755)  # the script may have closed it
        self.startup_seconds = progress.startup_seconds
        return ended

    def _end_badly(self, fault: Fault, training: Exit, score: ScoringReport | None, output: str) -> NoReturn:
        frames = agent_frames(output, self.folder.source)
        traceback = format_frames(frames, self.state.task.task.file)
        raise Failed(fault, self._facts(training, score), traceback, frames[-1].line if frames else None)

    def _end_invalid(self, reason: Invalid, message: str, training: Exit, score: ScoringReport | None) -> NoReturn:
        void = {"void_metrics": score.metrics} if score is not None and score.metrics else {}
        raise Void(reason, message, {**self._facts(training, score), **void})

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

    def _earlier_report(self) -> PreflightReport:
        """What the check found when the test was begun; nothing where it was stopped before, or it cannot be read."""
        try:
            content = read_regular(self.checked, MOST_REPORT_BYTES)
            return msgspec.json.decode(content, type=PreflightReport)
        except (FileNotFoundError, IrregularFile, ValueError, RecursionError):
            return UNCHECKED


def _indented(report: PreflightReport | ScoringReport) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
