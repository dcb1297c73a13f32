"""Isolation by seccomp: what sandboxed code may not ask of the kernel, because no wall of files stands before it.

Keys and queues of the kernel outlive a process, so that a scored model could leave the validation text in them for the
next training; and Landlock knows neither datagrams nor sockets that have a file. Refused calls raise PermissionError.
Numbers are those of the kernel's tables for each machine, the program is that of linux/filter.h and linux/seccomp.h.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Iterable, Iterator

from harness.isolation.privileges import check

KEPT = ("add_key", "request_key", "keyctl", "shmget", "semget", "msgget", "mq_open")
"""What they make is kept when their process has ended."""
OUTWARD = ("connect", "sendmsg", "sendmmsg", "io_uring_setup")
"""Through them something is said to whoever listens; `sendto` is refused where it names an address."""

_NUMBERS = {
    "x86_64": {
        "connect": 42,
        "sendto": 44,
        "sendmsg": 46,
        "sendmmsg": 307,
        "io_uring_setup": 425,
        "shmget": 29,
        "semget": 64,
        "msgget": 68,
        "mq_open": 240,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
    },
    "aarch64": {
        "connect": 203,
        "sendto": 206,
        "sendmsg": 211,
        "sendmmsg": 269,
        "io_uring_setup": 425,
        "shmget": 194,
        "semget": 190,
        "msgget": 186,
        "mq_open": 180,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
    },
}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OTHER_TABLE = 0x40000000
"""From here on x86_64 has the calls of x32, under other numbers."""

_SET_SECCOMP, _FILTER = 22, 2
_NUMBER, _ARCHITECTURE, _FIFTH_ARGUMENT = 0, 4, 48
"""Where they lie in what a filter sees; an argument has eight bytes."""
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOWED, _REFUSED = 0x7FFF0000, 0x00050000 | errno.EPERM


def numbers() -> dict[str, int]:
    """The numbers of these calls on this machine."""
    return _NUMBERS[platform.machine()]


def problem() -> str | None:
    """Why it cannot be used here; None when it can."""
    machine = platform.machine()
    return None if machine in _NUMBERS else f"the system calls of {machine} are not known"


def refuse(names: Iterable[str]) -> None:
    """Refuse these calls to this process and all that it starts. Raises OSError.

    To be called without a way to new privileges, and while the process has one thread.
    """
    program = b"".join(_program(platform.machine(), list(names)))
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    check("seccomp", ctypes.CDLL(None, use_errno=True).prctl(_SET_SECCOMP, _FILTER, described, 0, 0))


def _program(machine: str, names: list[str]) -> Iterator[bytes]:
    """Calls of another table than the machine's are refused as a whole: they have other numbers for the same."""
    numbers = _NUMBERS[machine]
    yield _step(_LOAD, _ARCHITECTURE)
    yield _step(_IF_EQUAL, _ARCHITECTURES[machine], skip_if=1)
    yield _step(_RETURN, _REFUSED)
    yield _step(_LOAD, _NUMBER)
    if machine == "x86_64":
        yield _step(_IF_AT_LEAST, _OTHER_TABLE, skip_else=1)
        yield _step(_RETURN, _REFUSED)
    for name in names:
        yield _step(_IF_EQUAL, numbers[name], skip_else=1)
        yield _step(_RETURN, _REFUSED)
    if "connect" in names:
        yield _step(_IF_EQUAL, numbers["sendto"], skip_else=5)
        yield _step(_LOAD, _FIFTH_ARGUMENT)
        yield _step(_IF_EQUAL, 0, skip_else=2)
        yield _step(_LOAD, _FIFTH_ARGUMENT + 4)
        yield _step(_IF_EQUAL, 0, skip_if=1)
        yield _step(_RETURN, _REFUSED)
    yield _step(_RETURN, _ALLOWED)


def _step(code: int, value: int, skip_if: int = 0, skip_else: int = 0) -> bytes:
    return struct.pack("=HBBI", code, skip_if, skip_else, value)
