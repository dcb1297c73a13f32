"""Isolation by seccomp: what sandboxed code may not ask of the kernel, because no wall of files stands before it.

Keys and queues of the kernel outlive a process, so that a scored model could leave the validation text in them for the
next training; sockets to the host of a virtual machine know no network namespace; and Landlock knows neither datagrams
nor sockets that have a file. Refused calls raise PermissionError.
Numbers are those of the kernel's tables for each machine, the program is that of linux/filter.h and linux/seccomp.h.
"""

import ctypes
import errno
import platform
import socket
import struct
from collections.abc import Collection, Iterator, Mapping

from harness.isolation.privileges import check

KEPT = ("add_key", "request_key", "keyctl", "shmget", "semget", "msgget", "mq_open")
"""What they make is kept when their process has ended."""
OUTWARD = ("connect", "sendmsg", "sendmmsg", "io_uring_setup")
"""Through them something is said to whoever listens; `sendto` is refused where it names an address."""
MARKS = (
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
)
"""They write to a file of the same user without opening it, which Landlock lets pass."""
MODES = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat"),
)
"""So do these; honest programs use them in passing, so that they do nothing and say that all is well."""
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
"""The sockets that can be made at all, among one's own or in one's own network."""

_TABLE = """
    x86_64 aarch64
    socket 41 198           connect 42 203          sendto 44 206           sendmsg 46 211
    sendmmsg 307 269        io_uring_setup 425 425  shmget 29 194           semget 64 190
    msgget 68 186           mq_open 240 180         add_key 248 217         request_key 249 218
    keyctl 250 219          setxattr 188 5          lsetxattr 189 6         fsetxattr 190 7
    removexattr 197 14      lremovexattr 198 15     fremovexattr 199 16     setxattrat 463 463
    removexattrat 466 466   chmod 90 -              fchmod 91 52            fchmodat 268 53
    fchmodat2 452 452       chown 92 -              fchown 93 55            lchown 94 -
    fchownat 260 54         utime 132 -             utimes 235 -            futimesat 261 -
    utimensat 280 88
"""
"""Each call with its number on either machine; what is not there goes by another call of its group."""


def _numbers() -> dict[str, dict[str, int]]:
    head, _, rest = _TABLE.strip().partition("\n")
    words = rest.split()
    rows = [words[start : start + 3] for start in range(0, len(words), 3)]
    return {
        machine: {row[0]: int(row[column]) for row in rows if row[column] != "-"}
        for column, machine in enumerate(head.split(), start=1)
    }


_NUMBERS = _numbers()
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OTHER_TABLE = 0x40000000
"""From here on x86_64 has the calls of x32, under other numbers."""

_SET_SECCOMP, _FILTER = 22, 2
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _FIFTH_ARGUMENT = 0, 4, 16, 48
"""Where they lie in what a filter sees; an argument has eight bytes."""
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOWED, _IGNORED, _REFUSED = 0x7FFF0000, 0x00050000, 0x00050000 | errno.EPERM


def numbers() -> dict[str, int]:
    """The numbers of these calls on this machine."""
    return _NUMBERS[platform.machine()]


def problem() -> str | None:
    """Why it cannot be used here; None when it can."""
    machine = platform.machine()
    return None if machine in _NUMBERS else f"the system calls of {machine} are not known"


def refuse(names: Collection[str], ignored: Collection[str] = ()) -> None:
    """Refuse these calls, and unusual sockets, to this process and all that it starts; `ignored` ones do nothing.

    To be called without a way to new privileges, and while the process has one thread. Raises OSError.
    """
    answers = {**dict.fromkeys(names, _REFUSED), **dict.fromkeys(ignored, _IGNORED)}
    program = b"".join(_program(platform.machine(), answers))
    buffer = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    check("seccomp", ctypes.CDLL(None, use_errno=True).prctl(_SET_SECCOMP, _FILTER, described, 0, 0))


def _program(machine: str, answers: Mapping[str, int]) -> Iterator[bytes]:
    """Calls of another table than the machine's are refused as a whole: they have other numbers for the same."""
    numbers = _NUMBERS[machine]
    yield _step(_LOAD, _ARCHITECTURE)
    yield _step(_IF_EQUAL, _ARCHITECTURES[machine], skip_if=1)
    yield _step(_RETURN, _REFUSED)
    yield _step(_LOAD, _NUMBER)
    if machine == "x86_64":
        yield _step(_IF_AT_LEAST, _OTHER_TABLE, skip_else=1)
        yield _step(_RETURN, _REFUSED)
    for name in answers.keys() & numbers.keys():
        yield _step(_IF_EQUAL, numbers[name], skip_else=1)
        yield _step(_RETURN, answers[name])
    if "connect" in answers:
        yield _step(_IF_EQUAL, numbers["sendto"], skip_else=5)
        yield _step(_LOAD, _FIFTH_ARGUMENT)
        yield _step(_IF_EQUAL, 0, skip_else=2)
        yield _step(_LOAD, _FIFTH_ARGUMENT + 4)
        yield _step(_IF_EQUAL, 0, skip_if=1)
        yield _step(_RETURN, _REFUSED)
    yield _step(_IF_EQUAL, numbers["socket"], skip_else=len(FAMILIES) + 2)
    yield _step(_LOAD, _FIRST_ARGUMENT)
    for passed, family in enumerate(FAMILIES):
        yield _step(_IF_EQUAL, family, skip_if=len(FAMILIES) - passed)
    yield _step(_RETURN, _REFUSED)
    yield _step(_RETURN, _ALLOWED)


def _step(code: int, value: int, skip_if: int = 0, skip_else: int = 0) -> bytes:
    return struct.pack("=HBBI", code, skip_if, skip_else, value)
