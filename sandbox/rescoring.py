"""Going back to a test's checkpoint without training: score it again, or let it write."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from harness import stages
from harness.launch import Busy, Interrupted, exclusive
from harness.profiles import Profile
from harness.run_config import RunConfig
from harness.run_folder import RunFolder
from harness.scoring.report import Report as ScoringReport
from harness.scoring.report import SampleReport
from sandbox.conditions import as_it_ran, conditions_of, of_seed, open_data
from sandbox.errors import MachineFault, RunFailed, Stopped, UsageError
from sandbox.locks import cannot_write
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
Stage = Callable[[RunFolder, RunConfig, Profile, int, Path], Answer]


def rescore(
    session: Session, test: TestState, metrics: tuple[str, ...], again: str, seed: int | None = None
) -> ScoringReport:
    """Measure some metrics of a test's checkpoint, the first seed's if not said; `again` is the command to repeat.

    The answer is in no file that the agent can read. Raises RunFailed for a model that cannot be scored, MachineFault
    when scoring does not start, Stopped on Ctrl-C.
    """

    def score(folder: RunFolder, config: RunConfig, profile: Profile, lock: int, report: Path) -> ScoringReport:
        return stages.run_scoring(folder, config, msgspec.structs.replace(profile, metrics=metrics), lock, report)

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

    def write(folder: RunFolder, config: RunConfig, profile: Profile, lock: int, report: Path) -> SampleReport:
        chosen = {"prompt": prompt, "samples": samples, "tokens": tokens, "temperature": temperature, "seed": seed}
        return stages.run_sampling(folder, config, profile, lock, report, **chosen)  # type: ignore[arg-type]

    return _at_checkpoint(session, test, test.seed, f"linbench sample {test.number}", write)


def _at_checkpoint(session: Session, test: TestState, seed: int, again: str, stage: Stage[Answer]) -> Answer:
    folder = session.folder.run(test.number, test.all_seeds, seed)
    conditions = as_it_ran(of_seed(conditions_of(test), seed), folder.run)
    if not folder.checkpoint.is_file():
        raise UsageError(f"Test {test.number} has no checkpoint.", run=f"linbench runs {test.number}")
    data = open_data(conditions)
    try:
        with (
            exclusive(session.folder.test(test.number).lock) as lock,
            tempfile.TemporaryDirectory(prefix="linbench-") as name,
        ):
            stages.write_run_config(folder, conditions.config, data)
            answer = stage(folder, conditions.config, conditions.profile, lock, Path(name) / "report.json")
    except Busy as busy:
        raise UsageError(f"{busy} is in use by another command. Wait for it.", run=again) from busy
    except Interrupted:
        raise Stopped("Interrupted. Nothing was changed.", run=again) from None
    except stages.MissingReport as missing:
        raise MachineFault(f"the scoring did not start: {missing.fault.message}", run=again) from missing
    except OSError as error:
        raise cannot_write(folder.root, error) from error
    if answer.error is not None:
        raise RunFailed(f"the checkpoint cannot be used: {answer.error}", run=f"linbench runs {test.number}")
    return answer
