"""The pieces of RWKV-7's time mixing that FLA fuses (Peng et al. 2025, arXiv:2503.14456)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.fla_cpu.delta_rules import dplr


def token_shift(x: Tensor, cache: Tensor | None = None, output_cache: bool = False) -> tuple[Tensor, Tensor | None]:
    """Return x_{t-1} - x_t for x (B, T, D), the `cache` (B, D) or zero before the first, and if asked the last x."""
    first = x.new_zeros(x.shape[0], 1, x.shape[-1]) if cache is None else cache.reshape(x.shape[0], 1, x.shape[-1])
    shifted = torch.cat((first.to(x.dtype), x[:, :-1]), 1)
    return shifted - x, x[:, -1].contiguous() if output_cache else None


def mix_shifted(
    hidden_states: Tensor,
    delta: Tensor,
    x_r: Tensor,
    x_w: Tensor,
    x_k: Tensor,
    x_v: Tensor,
    x_a: Tensor,
    x_g: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """Return hidden_states + delta * x for each of the six mixing vectors (1, 1, D), None for an absent one."""
    return tuple(None if x is None else torch.addcmul(hidden_states, delta, x) for x in (x_r, x_w, x_k, x_v, x_a, x_g))


def update_key(k: Tensor, a: Tensor, ka: Tensor) -> Tensor:
    """Return k (1 + (a - 1) ka)."""
    return torch.addcmul(k, k * (a - 1), ka)


def gate_output(o: Tensor, r: Tensor, k: Tensor, r_k: Tensor, v: Tensor, g: Tensor) -> Tensor:
    """Return (o + (r . k . r_k) v) g. o, g: (B, T, H * D). r, k, v: (B, T, H, D). r_k: (H, D)."""
    bonus = (r * k * r_k).sum(-1, keepdim=True) * v
    return (o + bonus.reshape(o.shape)) * g


def recurrence(
    r: Tensor,
    w: Tensor,
    k: Tensor,
    v: Tensor,
    kk: Tensor,
    a: Tensor,
    scale: float,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    reverse: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return RWKV-7's recurrence, which removes kk and writes it back weighted with a; see `dplr`."""
    return dplr(r, k, v, -kk, kk * a, w, scale, initial_state, output_final_state, reverse)
