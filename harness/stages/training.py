"""The training of an edit: in one process, one a GPU, or on several machines."""

import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from harness import checkpoints
from harness.data.training import TrainingData
from harness.faults import Fault
from harness.files import write_atomically
from harness.isolation import Confinement, confine
from harness.launch import Exit, python_module, run_child
from harness.profiles import Profile
from harness.run_config import RunConfig, config_sha256
from harness.run_folder import RunFolder
from harness.run_sandbox import kernel_caches, sandbox
from harness.stages.ending import fault_of
from harness.watch import TrainingWatch
from harness.worker_output import failed_worker


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
    return ended, (watch.fault() if ended.timed_out else None) or fault_of(ended, folder)


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
