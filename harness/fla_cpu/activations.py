"""FLA's fused activations, computed in float32 and returned in the dtype of the input."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harness.fla_cpu.errors import UnsupportedOption
from harness.fla_cpu.precision import promote


def gate(g: Tensor, activation: str) -> Tensor:
    """Return the activated gate; raises UnsupportedOption for an activation other than swish, silu and sigmoid."""
    if activation in ("swish", "silu"):
        return functional.silu(g)
    if activation == "sigmoid":
        return g.sigmoid()
    raise UnsupportedOption(
        f"the gate activation {activation!r} is not supported on a CPU, only swish, silu and sigmoid"
    )


def sigmoid(x: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x))."""
    return promote(x).sigmoid().to(x.dtype)


def swish(x: Tensor) -> Tensor:
    """Return x * sigmoid(x)."""
    return functional.silu(promote(x)).to(x.dtype)


def log_sigmoid(x: Tensor, temperature: float) -> Tensor:
    """Return log(sigmoid(x)) / temperature."""
    return (functional.logsigmoid(promote(x)) / temperature).to(x.dtype)


def elu_plus_one(x: Tensor) -> Tensor:
    """Return ELU(x) + 1, the feature map of Katharopoulos et al. 2020 (arXiv:2006.16236)."""
    return (functional.elu(promote(x)) + 1).to(x.dtype)


def gelu(input: Tensor) -> Tensor:
    """Return the tanh form of GELU."""
    return functional.gelu(promote(input), approximate="tanh").to(input.dtype)


def biased_gelu(input: Tensor, bias: Tensor) -> Tensor:
    """Return the tanh form of GELU of input + bias."""
    return functional.gelu(promote(input) + promote(bias), approximate="tanh").to(input.dtype)


def squared_relu(input: Tensor) -> Tensor:
    """Return max(x, 0)^2."""
    return promote(input).relu().square().to(input.dtype)


def swiglu(x: Tensor, y: Tensor) -> Tensor:
    """Return swish(x) * y."""
    return (functional.silu(promote(x)) * promote(y)).to(x.dtype)


def swiglu_linear(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return a linear map of swish(x) * y."""
    return functional.linear(swiglu(x, y), weight, bias)


def sigmoid_glu(x: Tensor, y: Tensor) -> Tensor:
    """Return sigmoid(x) * y."""
    return (torch.sigmoid(promote(x)) * promote(y)).to(x.dtype)


def sigmoid_glu_linear(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return a linear map of sigmoid(x) * y."""
    return functional.linear(sigmoid_glu(x, y), weight, bias)
