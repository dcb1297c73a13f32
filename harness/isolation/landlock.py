"""Isolation by Landlock, the kernel's own (Linux 5.13): a process gives up the files and ports that it does not need.

System calls and constants are those of linux/landlock.h. Weaker than bubblewrap: it hides no processes, and single
files in a writable folder cannot be kept from change. What it has no rule for is seen to by privileges.py and
system_calls.py.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harness.isolation import system_calls
from harness.isolation.confinement import Confinement
from harness.isolation.privileges import check
from harness.isolation.software import gpu_devices, software, withheld

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System call numbers, the same on every architecture."""
_VERSION, _PATH_BENEATH = 1, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE = 1 << 14
READ = EXECUTE | READ_FILE | READ_DIR
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
"""By the kernel's version of Landlock: everything that can be done to files."""
TCP = 0b11
"""Binding and connecting; since version 4."""
SCOPES = 0b11
"""Abstract sockets and signals to processes outside; since version 6."""

DEVICES = tuple(Path("/dev") / name for name in ("null", "zero", "full", "random", "urandom"))


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none."""
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION)))


def problem() -> str | None:
    """Why it cannot be used here; None when it can."""
    return system_calls.problem() if version() else "this kernel has no Landlock (Linux 5.13, switched on at boot)"


def restrict(confinement: Confinement) -> None:
    """Give up, for this process and all that it starts, what the confinement does not name. Raises OSError.

    To be called while the process has one thread and no way to new privileges.
    """
    available = version()
    files = _FILE_RIGHTS[min(available, max(_FILE_RIGHTS))]
    closed_ports = TCP if available >= 4 and not (confinement.network or confinement.workers) else 0
    ruleset = _ruleset(files, closed_ports, SCOPES if available >= 6 else 0)
    try:
        for path, rights in readable(confinement):
            _allow(ruleset, path, rights & files)
        for path in writable(confinement):
            _allow(ruleset, path, files)
        check("Landlock", ctypes.CDLL(None, use_errno=True).syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def readable(confinement: Confinement) -> Iterator[tuple[Path, int]]:
    """What is read, with the rights to it: the software without what is withheld, and what the confinement names."""
    hidden = withheld()
    for path in [*software(), Path("/proc")]:
        yield from without(path.resolve(), hidden)
    yield from ((path, READ) for path in confinement.readable)


def writable(confinement: Confinement) -> Iterator[Path]:
    """What is written: the confinement's folders, harmless devices, and the GPUs where they are used."""
    yield from (*confinement.writable, confinement.temporary, *(path for path in DEVICES if path.exists()))
    if confinement.device == "cuda":
        yield from gpu_devices()
        yield Path(f"/proc/{os.getpid()}")  # CUDA names its threads there
    if confinement.workers:
        yield Path("/dev/shm")


def without(path: Path, hidden: Sequence[Path]) -> Iterable[tuple[Path, int]]:
    """The path itself, or its pieces without the hidden ones: Landlock knows no exception.

    A folder in pieces is listed, names of what is hidden included: without a list Python imports nothing from it.
    """
    if any(path == other for other in hidden):
        return
    if not any(other.is_relative_to(path) for other in hidden):
        yield path, READ
        return
    yield path, READ_DIR
    for entry in sorted(path.iterdir()):
        if not entry.is_symlink():
            yield from without(entry, hidden)


def _ruleset(files: int, ports: int, scopes: int) -> int:
    attributes = struct.pack("=QQQ", files, ports, scopes)
    size = 24 if scopes else 16 if ports else 8  # an older kernel refuses fields that it does not know
    return check("Landlock", ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, attributes[:size], size, 0))


def _allow(ruleset: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= OF_A_FILE
        rule = struct.pack("=Qi", rights, descriptor)
        check("Landlock", ctypes.CDLL(None, use_errno=True).syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
    finally:
        os.close(descriptor)
