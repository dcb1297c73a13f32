"""Isolation by bubblewrap: namespaces of its own, a file system put together from what is named, no capabilities."""

import os
import shutil
import subprocess
from pathlib import Path

from harness.isolation.confinement import Confinement
from harness.isolation.software import gpu_devices, software, withheld

PROGRAM = "bwrap"
_TRIAL_SECONDS = 20


def problem() -> str | None:
    """Why it cannot be used here; None when it can. It is tried: many machines have it and forbid it."""
    if shutil.which(PROGRAM) is None:
        return f"there is no program {PROGRAM}"
    mounts = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    command = [PROGRAM, *_NAMESPACES, "--unshare-net", *mounts, "true"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"{PROGRAM} did not answer within {_TRIAL_SECONDS} seconds"
    return None if tried.returncode == 0 else tried.stderr.strip() or f"{PROGRAM} ended with {tried.returncode}"


_NAMESPACES = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--cap-drop", "ALL")


def arguments(confinement: Confinement) -> list[str]:
    """The words before the command. What comes later lies over what comes before."""
    words = [PROGRAM, *_NAMESPACES]
    if not confinement.network:
        words.append("--unshare-net")
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += _bind("--bind", confinement.temporary, Path("/tmp"))
    words += _bind("--bind", confinement.temporary / "shm", Path("/dev/shm"))  # there it would be uncounted memory
    for path in gpu_devices() if confinement.device == "cuda" else ():
        words += _bind("--dev-bind", path)
    for path in software():
        words += ["--symlink", os.readlink(path), str(path)] if path.is_symlink() else _bind("--ro-bind", path)
    for path in withheld():
        words += ["--tmpfs", str(path), "--remount-ro", str(path)]
    for path in confinement.readable:
        words += _bind("--ro-bind", path)
    for path in confinement.writable:
        words += _bind("--bind", path)
    for path in confinement.frozen:
        words += _bind("--ro-bind", path)
    return [*words, "--remount-ro", "/", "--chdir", str(confinement.folder), "--"]


def _bind(option: str, path: Path, to: Path | None = None) -> list[str]:
    return [option, str(path), str(to or path)]
