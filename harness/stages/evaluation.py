"""What the evaluator does with a checkpoint: scores it, or draws text from it."""

from pathlib import Path

import msgspec

from harness import scoring
from harness.data.root import data_root
from harness.faults import Fault
from harness.files import temporary_folder, write_atomically
from harness.isolation.confinement import wall_seconds
from harness.launch import Exit, python_module, run_child
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
    with temporary_folder() as private:
        report = private / "report.json"
        request = scoring_report.Request(
            model=_model(folder, config, isolation, private),
            report=str(report),
            data=profile.data,
            metrics=profile.metrics,
            windows=profile.windows,
            allowed=allowed,
        )
        ended = _evaluate(scoring.__name__, request, report, folder, config.device, lock)
        answer = msgspec.json.decode(report.read_bytes(), type=scoring_report.Report)
    return msgspec.structs.replace(answer, seconds=ended.seconds)


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
    with temporary_folder() as private:
        report = private / "report.json"
        request = scoring_report.SampleRequest(
            model=_model(folder, config, isolation, private),
            report=str(report),
            data=profile.data,
            prompt=prompt,
            samples=samples,
            tokens=tokens,
            temperature=temperature,
            seed=seed,
        )
        ended = _evaluate(f"{scoring.__name__}.sampling", request, report, folder, config.device, lock)
        answer = msgspec.json.decode(report.read_bytes(), type=scoring_report.SampleReport)
    return msgspec.structs.replace(answer, seconds=ended.seconds)


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


def _evaluate(module: str, request: msgspec.Struct, report: Path, folder: RunFolder, device: str, lock: int) -> Exit:
    """Run an evaluator, which alone is told where the prepared data sets lie, until its report is there."""
    question = report.with_name(f"{report.stem}.request.json")
    write_atomically(question, scoring_report.encode(request).decode())
    report.unlink(missing_ok=True)
    ended = run_child(
        python_module(module, str(question)),
        folder=folder.root,
        log=folder.log,
        lock=lock,
        device=device,
        timeout_seconds=SCORING_SECONDS + EVALUATION_SECONDS,
        environment={"LINBENCH_DATA": str(data_root().resolve()), "TQDM_DISABLE": "1"},
    )
    if ended.timed_out or not report.is_file():
        fault = fault_of(ended, folder) or Fault("error", f"{module} ended without a report")
        raise MissingReport(fault, ended)
    question.unlink()
    return ended
