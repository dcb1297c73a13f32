"""FLA's linear attention family in the signatures of its autograd functions."""

from __future__ import annotations

from torch import Tensor

from harness.fla_cpu.precision import full_precision, promote
from harness.fla_cpu.scalar_decay import scalar_decay_attention
from harness.fla_cpu.vector_decay import vector_decay_attention


def gla(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    scale: float,
    initial_state: Tensor | None,
    output_final_state: bool,
    state_v_first: bool,
) -> tuple[Tensor, Tensor | None]:
    """Return gated linear attention and, if asked, its last state; see `vector_decay_attention`."""
    o, state = vector_decay_attention(q, k, v, g, scale, initial_state, state_v_first)
    return o, state if output_final_state else None


def simple_gla(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    g_gamma: Tensor | None,
    scale: float,
    initial_state: Tensor | None,
    output_final_state: bool,
    state_v_first: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return attention with the scalar log decay g (B, T, H) plus g_gamma (H,) and, if asked, its last state."""
    decay = scalar_log_decay(q, g, g_gamma)
    o, state = scalar_decay_attention(q, k, v, decay, scale, initial_state, state_v_first)
    return o, state if output_final_state else None


def scalar_log_decay(q: Tensor, g: Tensor | None, g_gamma: Tensor | None) -> Tensor | None:
    """Return the log decay of every step (B, T, H) from one a step, one a head, both or neither."""
    if g_gamma is None:
        return g
    constant_BTH = promote(g_gamma).expand(q.shape[:3])
    return constant_BTH if g is None else promote(g) + constant_BTH


def parallel_simple_gla(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor | None, scale: float
) -> tuple[Tensor, Tensor | None]:
    """Return attention with the scalar log decay g; the attention matrix is not offered."""
    return scalar_decay_attention(q, k, v, g, scale)[0], None


def fused_recurrent(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    g_gamma: Tensor | None = None,
    gk: Tensor | None = None,
    scale: float = 1.0,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    reverse: bool = False,
    state_v_first: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return attention with scalar decays g, g_gamma and a channel decay gk (B, T, H, K), from the end if `reverse`."""
    decay = scalar_log_decay(q, g, g_gamma)
    if gk is not None and decay is not None:
        gk = promote(gk) + promote(decay).unsqueeze(-1)
    if reverse:
        q, k, v = q.flip(1), k.flip(1), v.flip(1)
        decay, gk = (None if x is None else x.flip(1) for x in (decay, gk))
    if gk is None:
        o, state = scalar_decay_attention(q, k, v, decay, scale, initial_state, state_v_first)
    else:
        o, state = vector_decay_attention(q, k, v, gk, scale, initial_state, state_v_first)
    return o.flip(1) if reverse else o, state if output_final_state else None


@full_precision
def normalize(
    o: Tensor, q: Tensor, k: Tensor, scale: float, z_init: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor]:
    """Divide o (B, T, H, V) by scale * q_t . sum of keys so far + 1e-10; return it and the last sum (B, 1, H, K)."""
    keys = promote(k)
    sums = keys.flip(1).cumsum(1).flip(1) if reverse else keys.cumsum(1)
    if z_init is not None:
        sums = sums + promote(z_init)
    denominator = (promote(q) * scale * sums).sum(-1, keepdim=True) + 1e-10
    last = sums[:, :1] if reverse else sums[:, -1:]
    return (promote(o) / denominator).to(o.dtype), last.to(k.dtype)
