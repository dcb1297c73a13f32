"""The model's process as the evaluator holds it: started, spoken to with every wait bounded, ended."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from harness.faults import Reason, classify
from harness.isolation import Confinement, confine
from harness.isolation.ending import end
from harness.isolation.usage import UsageWatch, children
from harness.kernel_cache import OWN, copy_for_one_process, variables
from harness.launch import Exit, child_environment, python_module, returncode
from harness.run_config import RunConfig
from harness.scoring import shared_memory, withheld
from harness.scoring.logits import NotScorable
from harness.scoring.messages import Answer, Begin, Channel, Chunk, Failed, Misshapen, Ready
from harness.scoring.report import Model
from harness.scoring.weights import Weights

Kind = TypeVar("Kind", Ready, Answer, Chunk)

ENDING_SECONDS = 10.0
"""That a process which has hung up is given to end."""


class ModelFailure(Exception):
    """The model gave no logits; `reason` says of which kind the fault is, `traceback` where the agent's code raised."""

    def __init__(self, reason: Reason, message: str, traceback: str = ""):
        super().__init__(message)
        self.reason, self.traceback = reason, traceback


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """What a model's process is made from, and for how long it is waited for."""

    source: Path
    run: Path
    weights: Weights
    config: RunConfig
    """What `run` says, as the parent knows it."""
    answer_seconds: float
    """Wall time that a start or an answer may take."""
    deadline: float
    """Of all answers together, on the monotonic clock."""
    confinement: Confinement
    """The sandbox; each process gets a new folder below the temporary one for its own."""
    kernels: Path
    """Compiled kernels, of which each process gets a copy."""

    @property
    def tokens_per_batch(self) -> int:
        """As many as a micro-batch of the training had."""
        return self.config.micro_batch_size * self.config.block_size


def model_files(model: Model, weights: Weights) -> ModelFiles:
    """The same as a request says it, with what was read of its checkpoint; its time begins now."""
    return ModelFiles(
        source=Path(model.source),
        run=Path(model.run),
        weights=weights,
        config=model.config,
        answer_seconds=model.answer_seconds,
        deadline=time.monotonic() + model.seconds,
        confinement=model.confinement,
        kernels=Path(model.kernels),
    )


def start_server(
    command: Sequence[str], descriptors: Sequence[int], confinement: Confinement
) -> "subprocess.Popen[bytes]":
    """Start the model's process in its sandbox. Nobody hears what it prints: it could be what it is asked about."""
    confined = confine(command, confinement)
    caches = variables(Path(confined.environment["TMPDIR"], OWN))
    environment = child_environment(confinement.device, confinement.kind == "bubblewrap")
    return subprocess.Popen(
        confined.command,
        cwd=confinement.folder,
        env={**environment, **caches, **confined.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=descriptors,
    )


class ModelProcess:
    """One process that runs the agent's code, the connection to it and the memory that is shared with it."""

    living: ClassVar[set[int]] = set()
    """The processes of all models, which do not count as left behind by one of them."""

    def __init__(self, files: ModelFiles):
        self.files, device = files, files.config.device
        tokens, slot_bytes = files.tokens_per_batch, shared_memory.SLOT_BYTES[device]
        self.before = set(children(os.getpid()))
        confinement = _confinement_of_its_own(files)
        with files.weights.opened() as checkpoint:
            ours, theirs = socket.socketpair()
            memory = shared_memory.create(tokens, slot_bytes)
            descriptors = [checkpoint.fileno(), theirs.fileno(), memory]
            numbers = map(str, (*descriptors, tokens, slot_bytes))
            command = python_module("harness.scoring.server", str(files.source), str(files.run), *numbers)
            self.process = start_server(command, descriptors, confinement)
        self.asked = False
        """Whether it knows something that it must not tell."""
        self.living.add(self.process.pid)
        self.usage = UsageWatch(self.process.pid, confinement)
        theirs.close()
        ours.settimeout(ENDING_SECONDS)  # for a process that no longer listens
        self.channel = Channel(ours)
        self.memory = shared_memory.SharedMemory(memory, tokens, slot_bytes, device)
        os.close(memory)

    def close(self) -> None:
        """End the process and what it started; nothing is asked of it any more."""
        self.channel.end.close()
        end(self.process, self.before | self.living)
        self.living.discard(self.process.pid)
        self.memory.close()

    def begin(self) -> None:
        """Let it load the model. Raises ModelFailure where nobody listens."""
        try:
            self.channel.send(Begin())
        except OSError:
            raise self._hung_up() from None

    def send(self, message: msgspec.Struct) -> None:
        """Send a message. Raises ModelFailure where nobody listens."""
        self.asked = True
        try:
            self.channel.send(message)
        except OSError:
            raise self._hung_up() from None

    def receive(self, kind: type[Kind]) -> Kind:
        """The next message, which has to be of this kind. Raises ModelFailure, NotScorable."""
        began = time.monotonic()
        try:
            message = self.channel.receive_answered(
                min(began + self.files.answer_seconds, self.files.deadline), self.usage.look
            )
        except TimeoutError:
            if self.usage.over is not None:
                raise ModelFailure("over_limit", self.usage.over) from None
            seconds = time.monotonic() - began
            raise ModelFailure("timeout", f"it had not answered after {seconds:.0f} seconds") from None
        except (EOFError, OSError):
            raise self._hung_up() from None
        except msgspec.MsgspecError:
            raise ModelFailure("error", "its process broke the protocol") from None
        if isinstance(message, kind):
            return message
        if isinstance(message, Misshapen):
            raise NotScorable("logits_misshapen", withheld.shape(message.what))
        if isinstance(message, Failed):
            memory = "out of memory" in message.error.lower() or "OutOfMemoryError" in message.error
            raise ModelFailure("out_of_memory" if memory else "error", *self._repeatable(message))
        raise ModelFailure("error", f"its process broke the protocol by a {type(message).__name__}")

    def _repeatable(self, failed: Failed) -> tuple[str, str]:
        """An error and its traceback, as far as they can be repeated."""
        if not self.asked:
            return failed.error, failed.traceback
        return withheld.error(failed.error), withheld.traceback(failed.traceback, self.files.source)

    def _hung_up(self) -> ModelFailure:
        """What to say of a process that is gone, or has closed its end and stays."""
        try:
            self.process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            return ModelFailure("error", "its process hung up")
        code = returncode(self.process, self.files.confinement.kind == "bubblewrap")
        fault = classify(Exit(code, False, 0.0, ""), free_disk_bytes=0)
        if fault is None or code > 0:
            return ModelFailure("error", f"its process ended with exit code {code}")
        return ModelFailure(fault.reason, f"its process ended: {fault.message}")


def _confinement_of_its_own(files: ModelFiles) -> Confinement:
    """The sandbox with a temporary folder that is empty but for the kernels that were compiled before."""
    own = Path(tempfile.mkdtemp(dir=files.confinement.temporary))
    seen_as = Path("/tmp", OWN) if files.confinement.kind == "bubblewrap" else None
    copy_for_one_process(files.kernels, own / OWN, seen_as)
    return msgspec.structs.replace(files.confinement, temporary=own)
