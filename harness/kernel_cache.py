"""Compiled kernels that runs share: a cache for each kind of machine, which only trusted code writes (`linbench warm`).

A run cannot write there. Its session gets a copy of its own, once, in which the session's runs keep what they compile.
Torch-free.
"""

import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.files import is_regular, remove
from harness.isolation.usage import disk_bytes
from harness.machine import gpu_names

PACKAGES = ("torch", "triton", "flash-linear-attention")
"""Whose versions a compiled kernel depends on."""

MOST_BYTES = 4 * 2**30
"""That are copied; more is no cache of kernels."""

OWN = "kernels"
"""The folder of a process's own copy, in its temporary folder."""

GROUP = "__grp__*.json"
"""The files in which Triton notes the absolute paths of a kernel's other files."""

UNFINISHED = re.compile(r"tmp\.pid_.*|.*\.tmp|lock|.*\.lock")
"""Names of what Triton and Inductor have not finished, and of their locks."""


def shared_cache(device: str) -> Path:
    """The cache of this machine's kind below LINBENCH_CACHE, else ~/.cache/linbench/kernels; it need not exist yet.

    `device` is "cuda" or "cpu".
    """
    chosen = os.environ.get("LINBENCH_CACHE")
    root = Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "linbench" / "kernels"
    gpu = (gpu_names() or ["unknown"])[0] if device == "cuda" else device
    key = "-".join([gpu, *(f"{package}-{_version(package)}" for package in PACKAGES)])
    return root.resolve() / re.sub(r"[^A-Za-z0-9.+-]+", "-", key)


def variables(cache: Path) -> dict[str, str]:
    """The environment of a process that compiles into a cache, or into a session's copy of one."""
    return {
        "TRITON_CACHE_DIR": str(cache / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "TRITON_CACHE_AUTOTUNING": "1",  # which variant was fastest is kept too, for every kernel
    }


def seed(session_cache: Path) -> None:
    """Copy the shared cache of this machine's GPU to a session's own folder, whole or not at all.

    Nothing happens where that folder holds anything already or where there is no shared cache. Raises OSError.
    """
    if _filled(session_cache) or not gpu_names():
        return
    copy_cache(shared_cache("cuda"), session_cache)


def copy_cache(source: Path, target: Path) -> None:
    """Copy a cache, which others may be writing to, to a folder that is missing or empty; two at once do it once."""
    with exclusive(target.with_name(f"{target.name}.lock")):
        if _filled(target) or not source.is_dir():
            return
        part = target.with_name(f"{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)  # a process that was killed left it
        try:
            shutil.copytree(source, part, ignore=_unfinished, copy_function=shutil.copyfile)
            for group in part.rglob(GROUP):
                _point_to(group, target / group.parent.relative_to(part))
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def copy_for_one_process(source: Path, target: Path, seen_as: Path | None = None) -> None:
    """Copy what a session's check compiled to a new folder, for a process that must leave nothing behind in it.

    `seen_as` is where that process finds the folder, if elsewhere.
    The agent's code may have written the source: links, pipes and more bytes than a cache has are not copied.
    """
    if not source.is_dir() or source.is_symlink():
        return
    size = disk_bytes([source])
    if size is None or size > MOST_BYTES:
        return
    try:
        shutil.copytree(source, target, ignore=_not_plain, copy_function=shutil.copyfile)
    except OSError as error:  # a file that is closed to its owner, for one; kernels can be compiled again
        print(f"linbench: compiled kernels are left out: {error}"[:500], file=sys.stderr)
        remove(target)
        return
    for group in target.rglob(GROUP):
        try:
            _point_to(group, (seen_as or target) / group.parent.relative_to(target))
        except (ValueError, KeyError, AttributeError, TypeError, OSError, RecursionError):  # it is none of Triton's
            remove(group)


def _not_plain(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if UNFINISHED.fullmatch(name) or not _is_plain(Path(folder, name))}


def _is_plain(path: Path) -> bool:
    return is_regular(path) or (path.is_dir() and not path.is_symlink())


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold a lock file, waiting for whoever holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _point_to(group: Path, folder: Path) -> None:
    """Let a group of files name those of its own copy; one that is not whole goes, and its kernel is compiled anew."""
    children = json.loads(group.read_text(encoding="utf-8"))["child_paths"]
    if all((group.parent / Path(path).name).is_file() for path in children.values()):
        moved = {name: str(folder / Path(path).name) for name, path in children.items()}
        group.write_text(json.dumps({"child_paths": moved}), encoding="utf-8")
    else:
        group.unlink()


def _unfinished(_folder: str, names: list[str]) -> set[str]:
    return {name for name in names if UNFINISHED.fullmatch(name)}


def _filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
