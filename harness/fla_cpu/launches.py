"""Turn the launch of an FLA kernel on CPU tensors into an error that names the operation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from torch import Tensor
from triton.runtime.jit import KernelInterface

from harness.fla_cpu.errors import UncoveredOp

LAYERS = (
    "GatedLinearAttention, DeltaNet, GatedDeltaNet, GatedDeltaProduct, MultiScaleRetention, "
    "SimpleGatedLinearAttention, LinearAttention, HGRNAttention, HGRN2Attention, Mamba2, RWKV7Attention, "
    "KimiDeltaAttention and NativeSparseAttention"
)
OPERATIONS = ("fla.ops.", "fla.modules.")
PLUMBING = {"forward", "backward", "wrapper", "decorate_fwd", "decorate_bwd"}


def guard() -> None:
    """Make every launch of a kernel from fla check the device of its first tensor; safe to call again."""
    launch_on_grid = KernelInterface.__getitem__
    if hasattr(launch_on_grid, "unguarded"):
        return

    def checked(kernel: Any, grid: Any) -> Callable[..., Any]:
        launch = launch_on_grid(kernel, grid)

        def run(*args: Any, **kwargs: Any) -> Any:
            first = next((x for x in (*args, *kwargs.values()) if isinstance(x, Tensor)), None)
            if first is not None and first.device.type == "cpu" and kernel_module(kernel).startswith("fla."):
                raise UncoveredOp(
                    f"{calling_operation(sys._getframe(1))} needs a GPU: FLA computes it with a Triton kernel and "
                    f"harness.fla_cpu has no CPU form of it. The layers that run on a CPU are {LAYERS}."
                )
            return launch(*args, **kwargs)

        return run

    checked.unguarded = launch_on_grid  # type: ignore[attr-defined]
    KernelInterface.__getitem__ = checked


def kernel_module(kernel: Any) -> str:
    """Return the name of the module that defines the Python function beneath autotuners and heuristics."""
    while hasattr(kernel, "fn"):
        kernel = kernel.fn
    return str(kernel.__module__)


def calling_operation(frame: FrameType | None) -> str:
    """Return the dotted name of the outermost FLA operation on the stack of `frame`."""
    found = "an FLA operation"
    while frame is not None:
        module, function = str(frame.f_globals.get("__name__")), frame.f_code.co_name
        if module.startswith(OPERATIONS) and function not in PLUMBING:
            found = f"{module}.{function}"
        frame = frame.f_back
    return found
