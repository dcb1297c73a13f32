"""Taylor attention plus window against its recurrence and a plain window."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def taylor_features(x: torch.Tensor) -> torch.Tensor:
    """[1, x, x x^T / sqrt 2], written as a loop over pairs."""
    pairs = [x[..., i] * x[..., j] / 2**0.5 for i in range(x.shape[-1]) for j in range(x.shape[-1])]
    return torch.cat((torch.ones_like(x[..., :1]), x, torch.stack(pairs, dim=-1)), dim=-1)


def recurrence(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    B, T, C = x_BTC.shape
    H, d, f = module.n_head, C // module.n_head, module.feature
    q, k, v = (part.view(B, T, H, d) for part in F.linear(x_BTC, module.c_attn.weight).split(C, dim=2))
    small_q, small_k = (u.view(B, T, H, f) for u in F.linear(x_BTC, module.c_feature.weight).chunk(2, dim=2))
    phi_q, phi_k = taylor_features(small_q / f**0.25), taylor_features(small_k / f**0.25)
    S, z = x_BTC.new_zeros(B, H, 1 + f + f * f, d), x_BTC.new_zeros(B, H, 1 + f + f * f)
    outputs = []
    for t in range(T):
        S, z = S + phi_k[:, t][..., None] * v[:, t][..., None, :], z + phi_k[:, t]
        far = torch.einsum("bhfd,bhf->bhd", S, phi_q[:, t]) / torch.einsum("bhf,bhf->bh", z, phi_q[:, t])[..., None]
        window = slice(max(0, t - module.window + 1), t + 1)
        weight = (torch.einsum("bhd,bshd->bhs", q[:, t], k[:, window]) / d**0.5).softmax(-1)
        near = torch.einsum("bhs,bshd->bhd", weight, v[:, window])
        outputs.append((far + near).flatten(1) @ module.c_proj.weight.T)
    return torch.stack(outputs, dim=1)


def test_blocks_are_the_recurrence(build: Callable[..., nn.Module], agrees_at_all_lengths: Callable[..., None]) -> None:
    """The form by blocks gives what one token at a time gives, state and window alike."""
    agrees_at_all_lengths(build("based", window=16), recurrence)
