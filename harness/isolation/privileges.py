"""What a process gives up for good before it runs the agent's code: capabilities, new privileges, the network.

Numbers are those of linux/prctl.h, linux/capability.h, linux/sched.h and linux/sockios.h. For the kinds of isolation
that bubblewrap does not do this for.
"""

import ctypes
import fcntl
import os
import socket
import struct

_NO_NEW_PRIVILEGES = 38
_CAPABILITY_VERSION_3 = 0x20080522
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_INTERFACE_FLAGS, _UP = 0x8914, 1


def drop() -> None:
    """No capability is left, root's included, and no program gets any back. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    check("no new privileges", library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    header, nothing = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    check("no capabilities", library.capset(header, nothing))


def leave_network() -> bool:
    """Move this process to a network of its own, which has a loopback and nothing else; whether the kernel lets it.

    A child tries it first, as there is no way back from half of it. To be called while the process has one thread, and
    before its capabilities are dropped.
    """
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            _leave_network()
            failed = 0
        finally:
            os._exit(failed)
    if os.waitpid(child, 0)[1] != 0:
        return False
    _leave_network()
    return True


def _leave_network() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if library.unshare(_NEW_NETWORK) != 0:
        check("a network", library.unshare(_NEW_USER | _NEW_NETWORK))
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    _raise_loopback()


def _raise_loopback() -> None:
    request = struct.pack("=16sh22x", b"lo", _UP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_INTERFACE_FLAGS, request)


def check(what: str, answer: int) -> int:
    """The answer of a system call. Raises OSError with `what` where it failed."""
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer
