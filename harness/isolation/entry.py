"""Into the sandbox: the command line that leads there, and what the process in it does before any code of the agent."""

import os
import resource
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from harness.isolation import bubblewrap, landlock, privileges, system_calls
from harness.isolation.confinement import Confinement, Limits

VARIABLE = "LINBENCH_CONFINEMENT"
"""In which a confined process finds what it has to give up by itself."""


class Confined(NamedTuple):
    """A command that runs in a sandbox."""

    command: list[str]
    environment: dict[str, str]
    """To be added to what every child gets."""


def confine(command: Sequence[str], confinement: Confinement) -> Confined:
    """The command that runs `command` confined. It has to call `enter` first, as harness.child does."""
    shared_memory = confinement.temporary / "shm"
    shared_memory.mkdir(exist_ok=True)
    under_bubblewrap = confinement.kind == "bubblewrap"
    private = "/tmp" if under_bubblewrap else str(confinement.temporary)
    environment = {
        VARIABLE: msgspec.json.encode(confinement, enc_hook=str).decode(),
        "TMPDIR": private,
        "HOME": private,
    }
    words = bubblewrap.arguments(confinement) if under_bubblewrap else []
    return Confined([*words, *command], environment)


def enter() -> None:
    """Accept the limits and give up what is not needed. Without a confinement nothing happens."""
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        return
    confinement = msgspec.json.decode(text, type=Confinement, dec_hook=lambda kind, value: kind(value))
    _accept(confinement.limits, confinement.device)
    if confinement.kind == "landlock":
        _give_up(confinement)
    elif confinement.kind == "bubblewrap" and system_calls.problem() is None:
        system_calls.refuse(system_calls.KEPT)


def _give_up(confinement: Confinement) -> None:
    """Network, capabilities, files, and what Landlock has no rule for."""
    speaks = confinement.network or confinement.workers
    if not confinement.network:
        privileges.leave_network()
    privileges.drop()
    landlock.restrict(confinement)
    outward = () if speaks else system_calls.OUTWARD
    system_calls.refuse((*system_calls.KEPT, *system_calls.MARKS, *outward), ignored=system_calls.MODES)


def _accept(limits: Limits, device: str) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, limits.file_bytes)
    if device == "cpu":  # CUDA maps far more than it uses; there the watch alone counts
        _lower(resource.RLIMIT_DATA, limits.memory_bytes)


def _lower(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (limit, limit))
