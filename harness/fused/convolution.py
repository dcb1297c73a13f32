"""Short causal convolutions of flash-linear-attention on kernels of our own: a backend in FLA's own registry.

FLA asks a backend whether it takes a call, and goes on with its own kernel where none does.
"""

import sys
from typing import Any

from torch import Tensor

from harness.fla_as_shipped import SWITCH
from harness.fused.kernels import convolution as kernels

FLA = "fla.modules.causal_conv1d"
Answer = tuple[bool, str | None]
"""Whether a call is taken, and why not."""


def install() -> None:
    """Offer the kernels to FLA's convolutions, where a script has loaded them."""
    if FLA not in sys.modules:
        return
    from fla.backends import BaseBackend, register

    backend = type("LinbenchBackend", (BaseBackend,), {"backend_type": "linbench"})
    for name, takes, function in OFFERED:
        register(getattr(sys.modules[FLA], name), backend=backend, verifier=takes, env_var=SWITCH)(function)


def takes(
    x: Tensor,
    weight: Tensor | None = None,
    residual: Tensor | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    activation: str | None = None,
    cu_seqlens: Tensor | None = None,
    **_: Any,
) -> Answer:
    """Four taps over windows of one length: x (B, T, D), weight (D, 4); no states and nothing added."""
    if residual is not None or initial_state is not None or output_final_state or cu_seqlens is not None:
        return False, "it has states, packed sequences or a residual"
    if weight is None or weight.shape != (x.shape[-1], kernels.TAPS) or activation not in (None, "silu", "swish"):
        return False, "it has other taps or another activation"
    return x.is_cuda and x.ndim == 3 and x.stride(-1) == 1 and _in_reach(x), "x is laid out otherwise"


def _in_reach(x: Tensor) -> bool:
    """Whether the kernels, which count in 32 bits along a window, reach its end."""
    return x.shape[1] * x.stride(1) < 2**31


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None, **_: Any
) -> tuple[Tensor, None]:
    """y, and no final state."""
    return kernels.forward(x, weight, bias, activation is not None), None


def takes_gradient(x: Tensor, dy: Tensor, dht: Tensor | None, **others: Any) -> Answer:
    """As `takes`."""
    if dht is not None or not _in_reach(dy):
        return False, "it has a final state, or its gradient is laid out otherwise"
    return takes(x, **others)


def gradient(
    x: Tensor, dy: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None, **_: Any
) -> tuple[Tensor, Tensor, Tensor | None, None, None]:
    """The gradients of x, weight and bias, and of the residual and the first state that there are not."""
    dy = dy if dy.stride(-1) == 1 else dy.contiguous()
    return *kernels.gradient(x, dy, weight, bias, activation is not None), None, None


OFFERED = (("causal_conv1d_fwd", takes, convolution), ("causal_conv1d_bwd", takes_gradient, gradient))
"""FLA's functions, which of their calls are taken, and what takes them."""
