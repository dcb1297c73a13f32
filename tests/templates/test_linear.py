"""Kernel feature-map attention against its recurrence."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def recurrence(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    B, T, C = x_BTC.shape
    H, d = module.n_head, C // module.n_head
    q, k, v = (part.view(B, T, H, d) for part in F.linear(x_BTC, module.c_attn.weight).split(C, dim=2))
    S, z = x_BTC.new_zeros(B, H, d, d), x_BTC.new_zeros(B, H, d)
    outputs = []
    for t in range(T):
        q_BHd, k_BHd = (torch.where(u > 0, u + 1, u.exp()) for u in (q[:, t], k[:, t]))
        S = S + k_BHd[..., :, None] * v[:, t][..., None, :]
        z = z + k_BHd
        y_BHd = torch.einsum("bhde,bhd->bhe", S, q_BHd) / (torch.einsum("bhd,bhd->bh", z, q_BHd)[..., None] + 1e-6)
        outputs.append(y_BHd.flatten(1) @ module.c_proj.weight.T)
    return torch.stack(outputs, dim=1)


def test_chunked_form_is_the_recurrence(
    build: Callable[..., nn.Module], agrees_at_all_lengths: Callable[..., None]
) -> None:
    """The chunked form gives what adding one token at a time gives."""
    agrees_at_all_lengths(build("linear"), recurrence)


def test_stays_finite_for_extreme_inputs(build: Callable[..., nn.Module]) -> None:
    """Features that underflow to zero, or are huge, give no division by zero and no overflow."""
    module = build("linear")
    for size in (1e-20, 1e4):
        x_BTC = (size * torch.randn(1, 200, 32)).requires_grad_()
        y_BTC = module(x_BTC)
        y_BTC.sum().backward()
        assert y_BTC.isfinite().all()
        assert x_BTC.grad is not None
        assert x_BTC.grad.isfinite().all()
