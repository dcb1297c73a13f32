"""The child processes of a test, as the parent starts them: preflight, training, scoring, sampling. Torch-free.

Each takes a run folder, writes what it needs into it, and gives back a report; what went wrong comes back as a Fault.
"""

import shlex
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from harness import bytecode, checkpoints, preflight, scoring
from harness.data.root import data_root
from harness.data.training import TrainingData
from harness.faults import Fault, classify
from harness.files import remove, temporary_folder, write_atomically
from harness.isolation import Confinement, confine
from harness.isolation.confinement import wall_seconds
from harness.launch import Exit, python_module, run_child
from harness.preflight import report as preflight_report
from harness.preflight.answer import Answer, answer_files
from harness.profiles import Profile
from harness.run_config import RunConfig, config_sha256
from harness.run_folder import RunFolder
from harness.run_sandbox import kernel_caches, model_sandbox, sandbox
from harness.scoring import report as scoring_report
from harness.watch import TrainingWatch
from harness.worker_output import failed_worker

PREFLIGHT_SECONDS = 600.0
"""After which a preflight is taken for hung; a cold cache of Triton kernels takes minutes to fill."""

SCORING_SECONDS = 3600.0
"""Of answers in one scoring, after which its model is taken for hung."""

ANSWER_SECONDS = 600.0
"""After which a model that has not loaded, or not answered one batch, is taken for hung; as for the preflight."""

EVALUATION_SECONDS = 300.0
"""That the evaluator has beside its model: to read what is scored, and to report."""

MOST_SAID = 500
"""Characters that are repeated of an error in what a child wrote."""


class MissingReport(Exception):
    """A child process ended without its report; `fault` says how."""

    def __init__(self, fault: Fault, ended: Exit):
        super().__init__(fault.message)
        self.fault = fault
        self.ended = ended


def write_run_config(folder: RunFolder, config: RunConfig, data: TrainingData) -> None:
    """Write run.json: the resolved config with the paths of this machine and this folder."""
    whole = msgspec.structs.replace(
        config,
        train_files=tuple(map(str, data.train_files)),
        dev_files=tuple(map(str, data.dev_files)),
        metrics_file=str(folder.metrics),
        checkpoint_file=str(folder.checkpoint),
        config_sha256=config_sha256(config),
    )
    write_atomically(folder.run, msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n")


def run_preflight(
    folder: RunFolder,
    config: RunConfig,
    lock: int,
    rules: preflight_report.Rules = preflight_report.ANY,
    room: preflight_report.Room = preflight_report.ONE_PROCESS,
    isolation: str | None = None,
) -> preflight_report.Report:
    """Check the folder's source against what the task asks of a model, and whether its run has the room it needs.

    Raises MissingReport when the child died, Interrupted on Ctrl-C, NoIsolation.
    """
    if not folder.run.exists():
        write_atomically(folder.run, msgspec.json.encode(config).decode())
    request = preflight_report.Request(str(folder.source), str(folder.run), rules, room)
    question = folder.preflight.with_name(f"{folder.preflight.stem}.request.json")
    write_atomically(question, msgspec.json.encode(request).decode())
    bytecode.compile_once()
    with (
        sandbox(folder, config, isolation, keeps_kernels=True, workers=room.shared) as confinement,
        answer_files() as answer,
    ):
        ended = run_child(
            python_module(preflight.__name__, str(question), *map(str, answer.descriptors)),
            folder=folder.root,
            log=folder.log,
            lock=lock,
            device=config.device,
            timeout_seconds=wall_seconds(PREFLIGHT_SECONDS),
            environment=kernel_caches(folder, confinement),
            confinement=confinement,
            descriptors=answer.descriptors,
        )
        report = _report_of(answer, ended, folder)
    remove(question)
    return msgspec.structs.replace(report, seconds=ended.seconds)


def _report_of(answer: Answer, ended: Exit, folder: RunFolder) -> preflight_report.Report:
    fault = _fault(ended, folder) or Fault("error", f"{preflight.__name__} ended without a report")
    try:
        report = None if ended.timed_out else answer.report()
    except (ValueError, RecursionError) as error:
        report, fault = None, Fault("error", f"what its process reported is no report: {error}"[:MOST_SAID])
    if report is None:
        raise MissingReport(fault, ended)
    return report


@dataclass(frozen=True, slots=True)
class Placement:
    """Which GPUs share a run."""

    gpus: int = 1
    """On this machine; a CPU run is one process."""
    nodes: int = 1
    """Machines that share it, each with as many GPUs."""
    endpoint: str | None = None
    """HOST:PORT of torchrun's rendezvous; None on one machine."""

    def command(self, source: Path, run: Path) -> list[str]:
        """The command line of the training on each machine: one process, or torchrun's with one process a GPU."""
        if self.gpus == 1 and self.nodes == 1:
            return python_module("harness.child", str(source), str(run))
        rendezvous = ["--standalone"]
        if self.endpoint is not None:
            rendezvous = [f"--nnodes={self.nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={self.endpoint}"]
            seeds = run.parent.parent.parent.name == "tests"  # a further seed's folder lies in its test's
            session, _, *test = run.parent.parts[-4 if seeds else -3 :]
            rendezvous.append(f"--rdzv-id={'-'.join([session, *test])}")
        options = [*rendezvous, f"--nproc-per-node={self.gpus}", "--max-restarts=0", "-m", "harness.child"]
        return python_module("harness.torchrun", *options, str(source), str(run))


def run_training(
    folder: RunFolder,
    config: RunConfig,
    profile: Profile,
    lock: int,
    on_line: Callable[[str], None],
    placement: Placement = Placement(),
    isolation: str | None = None,
) -> tuple[Exit, Fault | None]:
    """Train in the folder, from its checkpoint where there is one. Raises Interrupted on Ctrl-C, NoIsolation."""
    limit = None if profile.hours_limit is None else profile.hours_limit * 3600
    watch = TrainingWatch(None if profile.stall_minutes is None else profile.stall_minutes * 60, config.vocab_size)

    def take(line: str) -> None:
        watch.take(line)
        checkpoints.keep(folder, line, profile.keep_checkpoints)
        on_line(line)

    checkpoints.restore(folder)
    with _training_sandbox(folder, config, profile, placement, isolation) as confinement:
        ended = run_child(
            placement.command(folder.source, folder.run),
            folder=folder.root,
            log=folder.log,
            lock=lock,
            device=config.device,
            timeout_seconds=limit,
            on_line=take,
            stop_when=lambda: watch.fault() is not None,
            environment=kernel_caches(folder, confinement),
            confinement=confinement,
        )
    ended = replace(ended, tail=failed_worker(ended.tail))
    return ended, (watch.fault() if ended.timed_out else None) or _fault(ended, folder)


def _training_sandbox(
    folder: RunFolder, config: RunConfig, profile: Profile, placement: Placement, isolation: str | None
) -> AbstractContextManager[Confinement]:
    told = msgspec.json.decode(folder.run.read_bytes(), type=RunConfig)
    return sandbox(
        folder,
        config,
        isolation,
        readable=tuple(map(Path, (*told.train_files, *told.dev_files))),
        checkpoints=profile.keep_checkpoints,
        workers=placement.gpus * placement.nodes > 1,
        network=placement.nodes > 1,
    )


def command_elsewhere(
    folder: RunFolder, config: RunConfig, profile: Profile, placement: Placement, isolation: str | None
) -> str:
    """What to type on each of the other machines that share a training; each has the same folders."""
    with _training_sandbox(folder, config, profile, placement, isolation) as confinement:
        confined = confine(placement.command(folder.source, folder.run), confinement)
    told = {**kernel_caches(folder, confinement), **confined.environment}
    return shlex.join(["env", *(f"{key}={value}" for key, value in told.items()), *confined.command])


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


def _evaluate(module: str, request: msgspec.Struct, report: Path, folder: RunFolder, device: str, lock: int) -> Exit:
    """Run an evaluator, which alone is told where the prepared data sets lie."""
    data = {"LINBENCH_DATA": str(data_root().resolve()), "TQDM_DISABLE": "1"}
    return _run_module(module, request, report, folder, device, lock, SCORING_SECONDS + EVALUATION_SECONDS, data)


def _run_module(
    module: str,
    request: msgspec.Struct,
    report: Path,
    folder: RunFolder,
    device: str,
    lock: int,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    confinement: Confinement | None = None,
) -> Exit:
    """Run one of our modules on a request file until its report is there."""
    question = report.with_name(f"{report.stem}.request.json")
    write_atomically(question, scoring_report.encode(request).decode())
    report.unlink(missing_ok=True)
    ended = run_child(
        python_module(module, str(question)),
        folder=folder.root,
        log=folder.log,
        lock=lock,
        device=device,
        timeout_seconds=seconds,
        environment=environment,
        confinement=confinement,
    )
    if ended.timed_out or not report.is_file():
        fault = _fault(ended, folder) or Fault("error", f"{module} ended without a report")
        raise MissingReport(fault, ended)
    question.unlink()
    return ended


def _fault(ended: Exit, folder: RunFolder) -> Fault | None:
    return classify(ended, free_disk_bytes=shutil.disk_usage(folder.root).free)
