"""What of the machine code in a sandbox reaches beside files: sockets, what the kernel keeps, other processes."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.isolation import system_calls
from harness.launch import Exit

SAY = """
import socket, sys
ways = {
    "connect": lambda speaker, place: speaker.connect(place),
    "sendto": lambda speaker, place: speaker.sendto(b"x", place),
    "sendmsg": lambda speaker, place: speaker.sendmsg([b"x"], [], 0, place),
}
with socket.socket(FAMILY, socket.SOCK_DGRAM) as speaker:
    try:
        ways[WAY](speaker, PLACE)
        speaker.send(b"x")
    except OSError as error:
        print(type(error).__name__)
"""

AF_VSOCK = 40
"""Of linux/socket.h; Python names it on some machines only."""

KEEP = """
import ctypes, ctypes.util
library = ctypes.CDLL(None, use_errno=True)
print(library.syscall(ADD_KEY, b"user", b"linbench_planted", b"x", 1, -4))
print(library.shmget(4242, 4096, 0o1600))
print(library.msgget(4242, 0o1600))
print(library.syscall(MQ_OPEN, b"linbench_planted", 0o102, 0o600, None))
"""


@pytest.fixture(params=["udp", "abstract", "named"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """A socket of this machine that takes datagrams."""
    places = {"udp": ("127.0.0.1", 0), "abstract": f"\0{tmp_path}", "named": str(tmp_path / "socket")}
    family = socket.AF_INET if request.param == "udp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as listener:
        listener.bind(places[request.param])
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize("way", ["connect", "sendto", "sendmsg"])
def test_no_socket_of_this_machine_hears_of_it(run: Callable[..., Exit], listener: socket.socket, way: str) -> None:
    """Datagrams, sockets without a file and sockets that have one are out of reach, however they are spoken to."""
    words = {"FAMILY": str(int(listener.family)), "PLACE": repr(listener.getsockname()), "WAY": repr(way)}
    code = SAY
    for word, value in words.items():
        code = code.replace(word, value)
    assert run(code).returncode == 0
    with pytest.raises(BlockingIOError):
        listener.recv(1)
    exec(code, {})
    assert listener.recv(1) == b"x", "outside of a sandbox the same code reaches it"


def test_it_makes_no_socket_to_the_host_of_its_machine(run: Callable[..., Exit]) -> None:
    """A virtual machine's way to its host belongs to no network that could be left; a loopback's socket can be made."""
    code = f"import socket; socket.socket(socket.AF_INET6); socket.socket({AF_VSOCK}, socket.SOCK_STREAM)"
    assert run(code).tail.splitlines()[-1].startswith("PermissionError")


def test_it_starts_another_python(run: Callable[..., Exit]) -> None:
    """The workers of several GPUs and those that compile are processes of their own, which import what they need."""
    ended = run("import subprocess, sys; subprocess.run([sys.executable, '-c', 'import json; print(json.dumps(3))'])")
    assert ended.tail == "3"


def test_its_own_sockets_work(run: Callable[..., Exit]) -> None:
    """A pair of sockets, by which a process speaks with its own, is a pipe."""
    ended = run("import socket; a, b = socket.socketpair(); a.send(b'x'); a.sendall(b'y'); print(b.recv(2))")
    assert ended.tail == "b'xy'"


def test_it_leaves_nothing_in_the_kernel(run: Callable[..., Exit]) -> None:
    """Keys, queues and shared memory, which outlive their process, cannot be made."""
    numbers = system_calls.numbers()
    code = KEEP.replace("ADD_KEY", str(numbers["add_key"])).replace("MQ_OPEN", str(numbers["mq_open"]))
    assert run(code).tail.split() == ["-1"] * 4


def test_it_marks_no_file_that_is_not_its_own(run: Callable[..., Exit], tmp_path: Path) -> None:
    """Modes, times and attributes of its user's files stay: they would change, or tell the next training something."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    before = secret.stat()
    ended = run(
        f"""
        import os
        for act in (os.chmod, 0o777), (os.utime, (1, 1)), (os.chown, 0, 0), (os.setxattr, "user.x", b"x"):
            try:
                act[0]({str(secret)!r}, *act[1:])
            except OSError as error:
                print(type(error).__name__)
        """
    )
    assert ended.returncode == 0
    after = secret.stat()
    assert (after.st_mode, after.st_mtime, after.st_ctime) == (before.st_mode, before.st_mtime, before.st_ctime)
    assert os.listxattr(secret) == []


def test_it_has_no_capability(run: Callable[..., Exit]) -> None:
    """Root in a sandbox is nobody."""
    ended = run("print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapP', 'CapE'))])")
    assert ended.tail == str(["0" * 16] * 2)


def test_it_reads_no_environment_of_another(run: Callable[..., Exit]) -> None:
    """What the process that measures it was started with stays its own, also where both are root."""
    ended = run(f"open('/proc/{os.getpid()}/environ').read()")
    assert ended.returncode == 1
    assert ended.tail.splitlines()[-1].startswith(("PermissionError", "FileNotFoundError"))
