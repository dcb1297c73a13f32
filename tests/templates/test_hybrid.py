"""The hybrid layer against its parts."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def parts(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    """Each half in fp32 through its own layer (held to its recurrence elsewhere), the gate as a loop over shifts."""
    left_BTK, right_BTK = x_BTC.float().split(16, dim=2)
    y_BTC = torch.cat((module.gla.float()(left_BTK)[0], module.deltanet.float()(right_BTK)[0]), dim=2).double()
    near_BTC = torch.zeros_like(x_BTC)
    for shift in range(4):
        near_BTC[:, shift:] += module.conv.weight[:, 0, 3 - shift] * x_BTC[:, : x_BTC.shape[1] - shift]
    return module.c_proj(y_BTC * F.silu(module.gate(near_BTC)))


def test_joins_two_halves_behind_a_gate(
    build: Callable[..., nn.Module], agrees_at_all_lengths: Callable[..., None]
) -> None:
    """Half the channels go through each layer, and silu of a linear map of a convolution of 4 gates both."""
    agrees_at_all_lengths(build("hybrid"), parts)
