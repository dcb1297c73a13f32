"""Locks between processes, and what to say when runs/ cannot be written.

The operating system frees a lock when its process ends, however it ends.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import MachineFault

TIMEOUT_SECONDS = 60.0


@contextmanager
def hold(path: Path, what: str, timeout: float = TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock at `path`, which guards `what`. Raises MachineFault when it cannot be had in `timeout` seconds."""
    from filelock import FileLock, Timeout  # loaded here, since reading needs no lock

    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout, poll_interval=0.01)
    except Timeout as error:
        who = holder(path) or "Another process"
        raise MachineFault(
            f"{who} has been working on {what} for {timeout:g} s. Wait until it has ended, or end it, "
            f"then repeat the command. (The lock is {path}; it needs no cleaning up.)"
        ) from error
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    try:
        yield
    finally:
        lock.release()


def cannot_write(folder: Path, error: OSError) -> MachineFault:
    """The error for a folder of runs/ that cannot be written."""
    return MachineFault(
        f"{folder} cannot be written: {error.strerror or error}. Set LINBENCH_RUNS to a folder that you may write to "
        "and that has room, then repeat the command."
    )


def holder(path: Path) -> str | None:
    """Which process holds the lock at `path`, as far as Linux tells; None where nobody does. It takes no lock."""
    table = Path("/proc/locks")
    if not (path.exists() and table.exists()):
        return None
    status = path.stat()
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in table.read_text().splitlines():
        fields = line.split()
        if file in fields and "FLOCK" in fields and "->" not in fields:
            return f"Process {fields[4]}" if int(fields[4]) > 0 else "Another process"  # 0 in another container
    return None
