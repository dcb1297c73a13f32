"""Start a child process and see it to its end: its output to a log, its whole process group killed when it must stop.

Torch-free. The child gets a scrubbed environment and inherits the run's lock, so that while any process of a run
lives, nobody else can take the run for abandoned.
"""

import fcntl
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.files import open_regular
from harness.isolation import Confinement, confine
from harness.isolation.ending import ask_to_stop, end, survivors_come_here
from harness.isolation.usage import UsageWatch

ENVIRONMENT = {
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH"),
    *("LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "CC", "CXX", "CUDA_HOME", "CUDA_VISIBLE_DEVICES"),
    *("OMP_NUM_THREADS", "GOMP_SPINCOUNT", "MKL_NUM_THREADS", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"),
    *("MASTER_ADDR", "MASTER_PORT"),
}
"""The variables that a child gets when the parent has them."""

ENVIRONMENT_PREFIXES = ("NCCL_", "NVIDIA_", "TORCH_NCCL_", "TORCH_SYMM_MEM_", "NVSHMEM_", "GLOO_", "SLURM_")
"""And those that begin so: how GPUs find each other is the machine's affair, not the agent's."""

LOG_LIMIT = 64 * 2**20
"""Bytes of output that are kept; a child that prints without end must not fill the disk."""

READ_BYTES = 65536
LARGEST_PIPE_BYTES = 2**20
"""/proc/sys/fs/pipe-max-size, as Linux sets it."""

SPIN_COUNT = "2000"
"""How often a waiting thread of GNU OpenMP looks for work before it sleeps; its own default is 300,000.

On two idle cores a step of `smoke` takes 47 ms either way; where two other processes want these cores it takes 250 ms
with this and seconds without. Not to spin at all costs a third on idle cores.
"""

PARENT = "LINBENCH_PARENT"
"""The variable in which a child finds the process whose death is to be its own."""

GRACE_SECONDS = 30.0
"""Between SIGTERM, at which a training saves its checkpoint, and SIGKILL."""


class Busy(RuntimeError):
    """Another process still works in this run's folder."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM reached the parent; the child has been asked to save and has ended."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended."""

    returncode: int
    """As subprocess has it: negative for a signal."""
    timed_out: bool
    """Whether it had to be ended: by its time limit or by `stop_when`."""
    seconds: float
    """Wall time, taken in the parent."""
    tail: str
    """The last lines that it printed."""
    over: str | None = None
    """Which limit of its confinement it passed, in words; None when it stayed within them."""


@contextmanager
def exclusive(lock: Path) -> Iterator[int]:
    """Hold a run's lock, whose descriptor its children inherit. Raises Busy when any process still holds it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(str(lock.parent)) from error
        yield descriptor
    finally:
        os.close(descriptor)


def child_environment(device: str, under_bubblewrap: bool = False) -> dict[str, str]:
    """The allow-listed part of this process's environment, and what the harness itself says.

    The child dies with this process; bubblewrap sees to that itself, and hides the parent.
    """
    kept = {
        key: value for key, value in os.environ.items() if key in ENVIRONMENT or key.startswith(ENVIRONMENT_PREFIXES)
    }
    root = str(Path(__file__).resolve().parent.parent)
    path = [root, *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **({"GOMP_SPINCOUNT": SPIN_COUNT} if device == "cpu" else {}),
        **kept,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "LINBENCH_DEVICE": device,
        **({} if under_bubblewrap else {PARENT: str(os.getpid())}),
    }


def python_module(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of ours with this Python, safe from files in the working folder."""
    return [sys.executable, "-P", "-m", module, *arguments]


def run_child(
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    lock: int,
    device: str,
    timeout_seconds: float | None = None,
    on_line: Callable[[str], None] = lambda line: None,
    stop_when: Callable[[], bool] = lambda: False,
    environment: Mapping[str, str] | None = None,
    confinement: Confinement | None = None,
    descriptors: Sequence[int] = (),
) -> Exit:
    """Run a command in a folder to its end and hand each line that it prints to `on_line`.

    With a `confinement` it runs in that sandbox; only code of our own runs without one. On a timeout, past a limit of
    the sandbox, or when `stop_when` says so, it is killed; on Ctrl-C or SIGTERM it is asked to save, waited for and
    killed, and Interrupted is raised; a second Ctrl-C ends the wait. Nothing that the child started outlives it.
    `environment` is added to what every child gets, `descriptors` to the lock that it inherits. Raises IrregularFile
    where the log is no plain file.
    """
    words, added = (list(command), {}) if confinement is None else confine(command, confinement)
    under_bubblewrap = confinement is not None and confinement.kind == "bubblewrap"
    started = time.monotonic()
    with open_regular(log, append=True) as log_file, _interrupts() as interrupts, survivors_come_here() as left_behind:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**child_environment(device, under_bubblewrap), **(environment or {}), **added},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock, *descriptors),
        )
        usage = None if confinement is None else UsageWatch(process.pid, confinement)
        output = _Output(process, log_file, on_line)
        deadline = math.inf if timeout_seconds is None else started + timeout_seconds

        def must_stop() -> bool:
            over = usage is not None and usage.look()
            return bool(interrupts) or time.monotonic() > deadline or over or stop_when()

        try:
            ended = output.follow(must_stop)
            if interrupts:
                ask_to_stop(process)
                deadline = time.monotonic() + GRACE_SECONDS
                output.follow(lambda: len(interrupts) > 1 or time.monotonic() > deadline)
                raise Interrupted
        finally:
            end(process, left_behind)
            output.close()
    over = usage.over if usage is not None else None
    return Exit(returncode(process, under_bubblewrap), not ended, time.monotonic() - started, output.tail(), over)


def returncode(process: subprocess.Popen[bytes], under_bubblewrap: bool) -> int:
    """As subprocess has it. bubblewrap reports a signal as a shell does, and a training that saved exits so."""
    code: int = process.returncode
    return 128 - code if under_bubblewrap and 128 < code < 160 and code != 128 + signal.SIGTERM else code


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The interrupts that came so far: Ctrl-C, also in a background job, whose shell ignores it, and SIGTERM.

    They are counted and raise nothing, so that none can break off the clean-up.
    """
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Output:
    """A child's output: to the log, up to its limit; line by line to the listener; the last lines kept."""

    def __init__(self, process: subprocess.Popen[bytes], log: BinaryIO, on_line: Callable[[str], None]):
        assert process.stdout is not None
        self.process, self.log, self.on_line = process, log, on_line
        self.pipe = process.stdout
        os.set_blocking(self.pipe.fileno(), False)
        self.room = LOG_LIMIT - self.log.tell()
        self.partial = b""
        self.lines: deque[str] = deque(maxlen=400)

    def follow(self, stop: Callable[[], bool]) -> bool:
        """Read until the process has ended; False when `stop` said so first."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.pipe, selectors.EVENT_READ)
            while self.process.poll() is None:
                if stop():
                    return False
                if selector.select(timeout=0.1) and self._read() == b"":  # it closed its output and still runs
                    selector.unregister(self.pipe)
        return True

    def _read(self) -> bytes | None:
        """Take what is there; None when nothing is, no bytes when the pipe is closed."""
        try:
            data = os.read(self.pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return None
        self.log.write(data[: max(0, self.room)])
        self.log.flush()
        self.room -= len(data)
        *lines, self.partial = (self.partial + data).split(b"\n")
        self.partial = self.partial[-READ_BYTES:]
        for line in lines:
            self._take(line)
        return data

    def _take(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        self.lines.append(text)
        self.on_line(text)

    def close(self) -> None:
        """Take what the pipe still holds and the unfinished last line.

        A process that left the group can hold the pipe and print for ever: no more is read than a pipe can hold.
        """
        with self.pipe:
            for _ in range(LARGEST_PIPE_BYTES // READ_BYTES):
                if not self._read():
                    break
            if self.partial:
                self._take(self.partial)

    def tail(self) -> str:
        """The last lines, as one text."""
        return "\n".join(self.lines)
