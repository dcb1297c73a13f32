"""Patch FLA's modules as they are imported, so that a script which never imports fla pays nothing."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from harness.fla_cpu.coverage import COVERED, FIRST_TO_LOAD_TRITON

NOTICE = (
    "fla: operations on CPU tensors run in pure torch (harness.fla_cpu); tensors on a GPU keep FLA's Triton kernels"
)


class FlaFinder:
    """A meta path finder that lets the ordinary finders locate an FLA module and patches it right after it has run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != FIRST_TO_LOAD_TRITON and name not in COVERED:
            return None
        spec = next(filter(None, (f.find_spec(name, path, target) for f in sys.meta_path if f is not self)), None)
        if spec is not None and spec.loader is not None:
            patch_after_execution(spec)
        return spec


def patch_after_execution(spec: ModuleSpec) -> None:
    """Make the loader of `spec` call `patch` once the module's own code has run; the first announces the backend."""
    loader = spec.loader
    assert loader is not None
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        if module.__name__ == FIRST_TO_LOAD_TRITON:
            announce()
        execute(module)
        patch(module)

    loader.exec_module = exec_module  # type: ignore[method-assign]


def patch(module: ModuleType) -> None:
    """Give one FLA module its CPU functions."""
    # These load torch, which a process that installs the backend without using fla need not pay for here.
    from harness.fla_cpu import launches, swap

    if module.__name__ == FIRST_TO_LOAD_TRITON:
        launches.guard()
    for target, function in COVERED.get(module.__name__, {}).items():
        swap.cover(module, target, function)


def announce() -> None:
    """Say once on stderr that FLA runs on this backend, in place of FLA's own warning that there is no GPU."""
    print(NOTICE, file=sys.stderr, flush=True)
    warnings.filterwarnings("ignore", message="Triton is not supported on current platform")


def install() -> None:
    """Make FLA's layers run on CPU tensors in this process, also where fla is imported already; safe to call again."""
    if any(isinstance(finder, FlaFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, FlaFinder())
    if FIRST_TO_LOAD_TRITON in sys.modules:
        announce()
    for name in (FIRST_TO_LOAD_TRITON, *COVERED):
        if name in sys.modules:
            patch(sys.modules[name])
