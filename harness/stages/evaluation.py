"""What the evaluator does with a checkpoint: scores it, or draws text from it."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from harness import scoring
from harness.data.root import data_root
from harness.faults import Fault
from harness.files import temporary_folder, write_atomically
from harness.isolation.confinement import wall_seconds
from harness.launch import python_module, run_child
from harness.profiles import Profile
from harness.run_config import RunConfig
from harness.run_folder import RunFolder
from harness.run_sandbox import model_sandbox
from harness.scoring import report as scoring_report
from harness.stages.ending import MissingReport, fault_of

SCORING_SECONDS = 3600.0
"""Of answers in one scoring, after which its model is taken for hung."""
ANSWER_SECONDS = 600.0
"""After which a model that has not loaded, or not answered one batch, is taken for hung; as for the preflight."""
EVALUATION_SECONDS = 300.0
"""That the evaluator has beside its model: to read what is scored, and to report."""

Answer = TypeVar("Answer", scoring_report.Report, scoring_report.SampleReport)


def run_scoring(
    folder: RunFolder,
    config: RunConfig,
    profile: Profile,
    lock: int,
    isolation: str | None = None,
    allowed: scoring_report.Allowed = scoring_report.ANYTHING,
) -> scoring_report.Report:
    """Score the folder's checkpoint, which may hold what is `allowed`.

    The answer goes through no file that the agent's code could name. Raises MissingReport when the evaluator died,
    Interrupted on Ctrl-C, NoIsolation.
    """

    def ask(model: scoring_report.Model, report: str) -> scoring_report.Request:
        return scoring_report.Request(
            model=model,
            report=report,
            data=profile.data,
            metrics=profile.metrics,
            windows=profile.windows,
            allowed=allowed,
        )

    return _evaluate(scoring.__name__, ask, scoring_report.Report, folder, config, lock, isolation)


def run_sampling(
    folder: RunFolder,
    config: RunConfig,
    profile: Profile,
    lock: int,
    isolation: str | None = None,
    *,
    prompt: str = "",
    samples: int = 1,
    tokens: int = 200,
    temperature: float = 0.8,
    seed: int = 0,
) -> scoring_report.SampleReport:
    """Draw text from the folder's checkpoint; SampleRequest says what each value means.

    Raises MissingReport when the child died, Interrupted on Ctrl-C.
    """

    def ask(model: scoring_report.Model, report: str) -> scoring_report.SampleRequest:
        return scoring_report.SampleRequest(
            model=model,
            report=report,
            data=profile.data,
            prompt=prompt,
            samples=samples,
            tokens=tokens,
            temperature=temperature,
            seed=seed,
        )

    return _evaluate(f"{scoring.__name__}.sampling", ask, scoring_report.SampleReport, folder, config, lock, isolation)


def _model(folder: RunFolder, config: RunConfig, isolation: str | None, private: Path) -> scoring_report.Model:
    return scoring_report.Model(
        confinement=model_sandbox(folder, config, isolation, private),
        kernels=str(folder.kernels),
        source=str(folder.source.absolute()),
        run=str(folder.run.absolute()),
        checkpoint=str(folder.checkpoint),
        config=config,
        answer_seconds=wall_seconds(ANSWER_SECONDS),
        seconds=SCORING_SECONDS,
    )


def _evaluate(
    module: str,
    ask: Callable[[scoring_report.Model, str], msgspec.Struct],
    kind: type[Answer],
    folder: RunFolder,
    config: RunConfig,
    lock: int,
    isolation: str | None,
) -> Answer:
    """Run an evaluator, which alone is told where the prepared data sets lie, until its report is there.

    `ask` makes its request, of the model and the path of the report.
    """
    with temporary_folder() as private:
        report, question = private / "report.json", private / "report.request.json"
        request = ask(_model(folder, config, isolation, private), str(report))
        write_atomically(question, scoring_report.encode(request).decode())
        ended = run_child(
            python_module(module, str(question)),
            folder=folder.root,
            log=folder.log,
            lock=lock,
            device=config.device,
            timeout_seconds=SCORING_SECONDS + EVALUATION_SECONDS,
            environment={"LINBENCH_DATA": str(data_root().resolve()), "TQDM_DISABLE": "1"},
        )
        if ended.timed_out or not report.is_file():
            fault = fault_of(ended, folder) or Fault("error", f"{module} ended without a report")
            raise MissingReport(fault, ended)
        answer = msgspec.json.decode(report.read_bytes(), type=kind)
    return msgspec.structs.replace(answer, seconds=ended.seconds)
