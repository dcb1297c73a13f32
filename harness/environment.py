"""What a result depends on beside source and data: this harness, file by file, and the software and GPUs around it.

Torch-free: versions come from the installed packages' metadata.
"""

import hashlib
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import msgspec

from harness.machine import gpu_names

SCORING_VERSION = 1
"""Raised by one with each change of this package that moves a score: rows of different versions do not rank together.

A change that moves no score alters the harness's hash alone.
"""

_PACKAGES = {"torch": "torch", "triton": "triton", "fla": "flash-linear-attention", "numpy": "numpy"}


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Versions as the packages state them; None for what is not there."""

    python: str
    platform: str
    """Operating system, kernel, architecture and C library."""
    torch: str | None = None
    triton: str | None = None
    fla: str | None = None
    """flash-linear-attention."""
    numpy: str | None = None
    gpus: str | None = None
    """The GPUs that a run on cuda may use, by name."""
    driver: str | None = None
    """Of those GPUs."""

    @property
    def sha256(self) -> str:
        """Hash of all of it."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def environment(device: str) -> Environment:
    """The environment of this process and the children that it starts, for runs on a device."""
    gpus = ", ".join(gpu_names()) if device == "cuda" else None
    return Environment(
        **{field: _version(package) for field, package in _PACKAGES.items()},
        python=platform.python_version(),
        platform=_platform(),
        gpus=gpus,
        driver=_driver() if gpus else None,
    )


def _platform() -> str:
    """Kernel, processor and C library, such as "Linux 6.8.0 x86_64, glibc 2.39", without what a vendor appends."""
    kernel = platform.release().partition("-")[0]
    return f"{platform.system()} {kernel} {platform.machine()}, {' '.join(platform.libc_ver())}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _driver() -> str | None:
    query = shutil.which("nvidia-smi")
    assert query is not None, "there are GPUs"
    answer = subprocess.run(
        [query, "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    lines = answer.stdout.splitlines()
    return lines[0].strip() if answer.returncode == 0 and lines else None


def harness_sha256(folder: Path = Path(__file__).parent) -> str:
    """Hash over the paths and contents of all files of the harness but compiled ones; it takes some milliseconds."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    hashes = ((path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files)
    return hashlib.sha256("".join(f"{name} {found}\n" for name, found in hashes).encode()).hexdigest()
