"""How the CPU functions choose their arithmetic: at least float32 inside, whatever autocast says, as in FLA."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def promote(x: Tensor) -> Tensor:
    """Return `x` in float32, or unchanged when it is float64."""
    return x if x.dtype == torch.float64 else x.float()


def full_precision(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Run `function` with CPU autocast off, so that its matrix products are not rounded to bfloat16."""

    @functools.wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with torch.autocast("cpu", enabled=False):
            return function(*args, **kwargs)

    return wrapper
