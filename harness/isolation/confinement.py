"""What a sandboxed process may see, write and use: plain data that each kind of isolation carries out in its way."""

import os
from pathlib import Path

import msgspec

MEMORY_SHARE = 0.5
"""Of the machine's memory; a training that needs more was not meant for this machine."""

TASKS = 2048
"""Processes and threads; a machine with many cores starts hundreds of compiling and computing threads."""

DISK_SLACK_BYTES = 4 * 2**30
"""For compiled kernels, logs and temporary files, beside the checkpoints."""


VARIABLE = "LINBENCH_LIMITS"
"""In which the operator may allow less: names of Limits, and `seconds` of wall time that any one wait for the agent's
code may take, as NAME=NUMBER, with commas between."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sandboxed process and all that it starts may use; wall time is the launcher's."""

    memory_bytes: int
    """Resident memory of all its processes together."""
    tasks: int = TASKS
    """Processes and threads at one time."""
    disk_bytes: int = DISK_SLACK_BYTES
    """In its writable folders, together."""
    file_bytes: int = DISK_SLACK_BYTES
    """The largest single file."""


def limits(checkpoint_bytes: int = 0, checkpoints: int = 1) -> Limits:
    """The limits of a run on this machine that keeps so many checkpoints of about this size.

    An edit may make the model larger than the harness expects, and a checkpoint is written beside the old one: so
    twice the size, and two more.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    largest = 2 * checkpoint_bytes
    usual = Limits(
        memory_bytes=int(memory * MEMORY_SHARE),
        disk_bytes=largest * (checkpoints + 2) + DISK_SLACK_BYTES,
        file_bytes=largest + DISK_SLACK_BYTES,
    )
    lower = {name: most for name, most in allowed().items() if name != "seconds" and most < getattr(usual, name)}
    return msgspec.structs.replace(usual, **lower)


def wall_seconds(usual: float) -> float:
    """How long to wait for the agent's code, where the operator allows less than is usual."""
    return min(usual, allowed().get("seconds", usual))


def allowed() -> dict[str, int]:
    """What the operator's variable says. Raises ValueError for what it cannot say."""
    names = [*Limits.__struct_fields__, "seconds"]
    found: dict[str, int] = {}
    for part in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, number = part.partition("=")
        if name not in names or not number.isdecimal() or int(number) < 1:
            raise ValueError(f"{VARIABLE} says {part!r}, but must say NAME=NUMBER. Names: {', '.join(names)}")
        found[name] = int(number)
    return found


class Confinement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sandbox, beside the software of the machine, which every sandboxed process can read."""

    kind: str
    """"bubblewrap", "landlock" or "none"."""
    folder: Path
    """Where the process starts."""
    temporary: Path
    """An empty folder for it alone; under bubblewrap it appears as /tmp."""
    readable: tuple[Path, ...] = ()
    """Files and folders."""
    writable: tuple[Path, ...] = ()
    """Folders."""
    frozen: tuple[Path, ...] = ()
    """Files in writable folders that stay as they are; Landlock cannot say so, there only their hashes tell."""
    device: str = "cpu"
    """"cuda" lets it use the GPUs."""
    workers: bool = False
    """Whether several processes share the run: they meet over the loopback."""
    network: bool = False
    """Whether the run is shared with other machines; then it sees the network."""
    limits: Limits
