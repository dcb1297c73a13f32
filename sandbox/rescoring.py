"""Going back to a test's checkpoint without training: score it again, or let it write."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from harness import stages
from harness.files import IrregularFile, is_regular
from harness.launch import Busy, Interrupted, exclusive
from harness.run_folder import RunFolder
from harness.scoring.report import Report as ScoringReport
from harness.scoring.report import SampleReport
from sandbox.conditions import Conditions, as_it_ran, conditions_of, of_seed, open_data
from sandbox.errors import MachineFault, RunFailed, Stopped, UsageError
from sandbox.locks import cannot_write
from sandbox.outcome import sha256_of
from sandbox.seeds import mean_metrics
from sandbox.session import Session
from sandbox.state import TestState


class Rescored(NamedTuple):
    """What all seeds of a test were measured again to have."""

    metrics: dict[str, float]
    """The means over the seeds, of what every seed could be measured for."""
    by_seed: dict[int, dict[str, float]]
    """Empty where the test has one seed."""
    errors: dict[str, str]


Answer = TypeVar("Answer", ScoringReport, SampleReport)
Stage = Callable[[RunFolder, Conditions, int], Answer]


def rescore(
    session: Session, test: TestState, metrics: tuple[str, ...], again: str, seed: int | None = None
) -> ScoringReport:
    """Measure some metrics of a test's checkpoint, the first seed's if not said; `again` is the command to repeat.

    The answer is in no file that the agent can read. Raises RunFailed for a model that cannot be scored, MachineFault
    when scoring does not start, Stopped on Ctrl-C.
    """

    def score(folder: RunFolder, conditions: Conditions, lock: int) -> ScoringReport:
        profile = msgspec.structs.replace(conditions.profile, metrics=metrics)
        return stages.run_scoring(folder, conditions.config, profile, lock, conditions.isolation)

    return _at_checkpoint(session, test, test.seed if seed is None else seed, again, score)


def rescore_seeds(session: Session, test: TestState, metrics: tuple[str, ...], again: str) -> Rescored:
    """The same for each seed of a test, whose means are its metrics. Raises as `rescore` does."""
    reports = {seed: rescore(session, test, metrics, again, seed) for seed in test.all_seeds}
    errors = {name: why for report in reports.values() for name, why in report.errors.items()}
    means = mean_metrics([report.metrics for report in reports.values()])
    by_seed = {seed: {name: report.metrics[name] for name in means} for seed, report in reports.items()}
    return Rescored(means, by_seed if test.seeds else {}, errors)


def sample(
    session: Session, test: TestState, *, prompt: str, samples: int, tokens: int, temperature: float, seed: int
) -> SampleReport:
    """Text from a test's checkpoint. Raises as `rescore` does."""

    def write(folder: RunFolder, conditions: Conditions, lock: int) -> SampleReport:
        return stages.run_sampling(
            folder,
            conditions.config,
            conditions.profile,
            lock,
            conditions.isolation,
            prompt=prompt,
            samples=samples,
            tokens=tokens,
            temperature=temperature,
            seed=seed,
        )

    return _at_checkpoint(session, test, test.seed, f"linbench sample {test.number}", write)


def _at_checkpoint(session: Session, test: TestState, seed: int, again: str, stage: Stage[Answer]) -> Answer:
    folder = session.folder.run(test.number, test.all_seeds, seed)
    conditions = as_it_ran(of_seed(conditions_of(test), seed), folder.run)
    if not is_regular(folder.checkpoint):
        raise UsageError(f"Test {test.number} has no checkpoint.", run=f"linbench runs {test.number}")
    data = open_data(conditions)
    try:
        with exclusive(session.folder.test(test.number).lock) as lock:
            stages.write_run_config(folder, conditions.config, data)
            _require_tested(test, seed, folder)
            answer = stage(folder, conditions, lock)
    except Busy as busy:
        raise UsageError(f"{busy} is in use by another command. Wait for it.", run=again) from busy
    except Interrupted:
        raise Stopped("Interrupted. Nothing was changed.", run=again) from None
    except stages.MissingReport as missing:
        raise MachineFault(f"the scoring did not start: {missing.fault.message}", run=again) from missing
    except OSError as error:
        raise cannot_write(folder.root, error) from error
    except IrregularFile as strange:
        raise RunFailed(f"{folder.root} was changed: {strange}.", run=f"linbench runs {test.number}") from strange
    if isinstance(answer, ScoringReport) and answer.invalid is not None:
        message = f"the figures of test {test.number} prove nothing ({answer.invalid}): {answer.error}."
        raise RunFailed(message, run=f"linbench runs {test.number}")
    if answer.error is not None:
        raise RunFailed(f"the checkpoint cannot be used: {answer.error}", run=f"linbench runs {test.number}")
    return answer


def _require_tested(test: TestState, seed: int, folder: RunFolder) -> None:
    """Raise RunFailed where source or checkpoint are not those that were tested."""
    facts = test.by_seed[seed].facts if seed in test.by_seed else test.facts or {}
    recorded = {folder.source: test.source_sha256, folder.checkpoint: facts.get("checkpoint_sha256")}
    for file, sha256 in recorded.items():
        if sha256 is not None and sha256_of(file) != sha256:
            raise RunFailed(f"{file} is not what was tested: its sha256 differs.", run=f"linbench runs {test.number}")
