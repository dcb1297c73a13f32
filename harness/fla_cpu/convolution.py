"""FLA's short depthwise causal convolution, as a sum of shifted products: faster on a CPU than a grouped conv1d."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harness.fla_cpu.activations import gate
from harness.fla_cpu.precision import full_precision, promote


@full_precision
def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool | None = False,
    activation: str | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return y_t = act(sum_w weight_w x_{t-W+1+w} + bias) + residual and, if asked, the last W inputs.

    x: (B, T, D) or (B, T, H, D / H). weight: (D, W). initial_state: (B, D, W), the inputs before the first.
    """
    shape, dtype = x.shape, x.dtype
    width = weight.shape[-1]
    x_BTD = promote(x.flatten(2))
    if initial_state is None:
        padded_BSD = functional.pad(x_BTD, (0, 0, width, 0))
    else:
        padded_BSD = torch.cat((promote(initial_state).transpose(1, 2), x_BTD), 1)
    weight_WD = promote(weight).transpose(0, 1)
    length = x_BTD.shape[1]
    y_BTD = padded_BSD[:, 1 : 1 + length] * weight_WD[0]
    for tap in range(1, width):
        y_BTD = torch.addcmul(y_BTD, padded_BSD[:, 1 + tap : 1 + tap + length], weight_WD[tap])
    if bias is not None:
        y_BTD = y_BTD + promote(bias)
    if activation is not None:
        y_BTD = gate(y_BTD, activation)
    if residual is not None:
        y_BTD = y_BTD + promote(residual.flatten(2))
    state = padded_BSD[:, -width:].transpose(1, 2).to(dtype).contiguous() if output_final_state else None
    return y_BTD.to(dtype).view(shape), state


def causal_conv1d_update(
    x: Tensor,
    cache: Tensor,
    residual: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    activation: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the convolution of one new input a sequence and its cache (N, D, W), which is moved on in place."""
    assert weight is not None
    count, width = cache.shape[0], weight.shape[0]
    new_N1D = x.reshape(count, 1, width)
    old_N1D = None if residual is None else residual.reshape(count, 1, width)
    y, state = causal_conv1d(new_N1D, weight, bias, old_N1D, cache, True, activation)
    assert state is not None
    cache.copy_(state)
    return y.view(x.shape), cache
