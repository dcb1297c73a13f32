"""The software of the machine that sandboxed code needs: the system's, Python's and the harness's own, read-only.

What is named here is all there is: homes, other sessions, prepared data and this checkout's tasks are simply absent.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/sys")

SETTINGS = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "passwd", "group", "nsswitch.conf", "hosts"),
    *("localtime", "timezone", "nccl.conf", "ssl/openssl.cnf"),
)
"""Of /etc: what the loader, the compilers and NCCL read."""

TOOLS = ("cc", "gcc", "g++", "clang", "ld", "as", "nvcc", "ptxas")
"""With which Triton and Inductor compile; some machines keep them outside the system's folders."""

GPU_DEVICES = ("nvidia*", "dxg", "dri", "kfd", "infiniband")
"""Names in /dev."""


def software() -> list[Path]:
    """What a sandboxed process may read, as far as it exists; none of it inside another."""
    package = Path(__file__).resolve().parent.parent
    libraries = [os.environ.get(name, "").split(os.pathsep) for name in ("LD_LIBRARY_PATH", "CUDA_HOME")]
    found = [
        *map(Path, SYSTEM),
        *(Path("/etc") / name for name in SETTINGS),
        *(Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent, package),
        *(Path(path) for path in sys.path if _holds_packages(path)),
        *_toolchains(),
        *(Path(path).resolve() for paths in libraries for path in paths if path),
    ]
    return outermost(path for path in found if path.exists() and path != Path("/"))


def _toolchains() -> set[Path]:
    """The folders above bin/ of the compilers that a child would find; a folder that is a home is not taken whole."""
    names = [*TOOLS, *filter(None, (os.environ.get("CC"), os.environ.get("CXX")))]
    found = [Path(tool) for tool in map(shutil.which, names) if tool is not None]
    places = {path for tool in found for path in (tool.parent, tool.resolve().parent)}
    return {path.parent if path.name == "bin" and path.parent != Path.home() else path for path in places}


def _holds_packages(path: str) -> bool:
    """Whether an entry of sys.path was installed into; a checkout or a working folder was not."""
    return os.path.isabs(path) and any(Path(path).glob("*.dist-info"))


def outermost(paths: Iterator[Path]) -> list[Path]:
    """The paths that lie in no other of them, in order."""
    chosen: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(other) for other in chosen):
            chosen.append(path)
    return chosen


def withheld() -> list[Path]:
    """Folders inside the software that sandboxed code must not see.

    The text that pydocs' validation tokens are made of comes with every Python, and an installed linbench has its
    tasks' published results beside its code.
    """
    roots = {Path(path) for path in ("/usr", "/usr/local", sys.prefix, sys.base_prefix)}
    roots.add(Path(sysconfig.get_path("stdlib")).parent.parent)
    text = {path.resolve() for root in roots for path in root.glob("lib*/python3*/pydoc_data")}
    beside = Path(__file__).resolve().parents[2] / "sandbox"
    installed = {beside} if beside.is_dir() and _holds_packages(str(beside.parent)) else set()
    return sorted(text | installed)


def gpu_devices() -> list[Path]:
    """The device files through which GPUs are used."""
    return sorted(path for name in GPU_DEVICES for path in Path("/dev").glob(name))
