"""Linear attention whose state decays by one number a head and step: simple GLA, retention, plain linear attention.

S_t = exp(g_t) S_{t-1} + k_t v_t^T,  o_t = scale * S_t^T q_t, chunk by chunk (Yang et al. 2023, arXiv:2312.06635).
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.fla_cpu.layout import from_chunks, state_from_groups, state_to_groups, to_chunks
from harness.fla_cpu.precision import full_precision, promote

CHUNK = 64


def decay_matrix(cumulative_NGC: Tensor) -> Tensor:
    """Return exp(G_i - G_j) for j <= i and 0 above the diagonal, (..., C) -> (..., C, C)."""
    difference = cumulative_NGC.unsqueeze(-1) - cumulative_NGC.unsqueeze(-2)
    size = difference.shape[-1]
    future = torch.ones(size, size, dtype=torch.bool, device=difference.device).triu(1)
    return difference.masked_fill(future, -torch.inf).exp()


@full_precision
def scalar_decay_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    scale: float,
    initial_state: Tensor | None = None,
    state_v_first: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the outputs (B, T, H, V) and the last state of S_t = exp(g_t) S_{t-1} + k_t v_t^T.

    q, k: (B, T, H, K). v: (B, T, H, V). g: (B, T, H), natural log of the decay, or None for no decay.
    """
    dtype, batch, length = q.dtype, q.shape[0], q.shape[1]
    q, k, v = promote(q) * scale, promote(k), promote(v)
    state = state_to_groups(initial_state, k, v, state_v_first)
    size = min(CHUNK, length)
    q_NGCK, k_NGCK, v_NGCV = (to_chunks(x, size) for x in (q, k, v))
    scores_NGCC = q_NGCK @ k_NGCK.transpose(-1, -2)
    if g is None:
        within = scores_NGCC.tril() @ v_NGCV
        decays: list[Tensor | None] = [None] * len(within)
    else:
        cumulative_NGC = to_chunks(promote(g).unsqueeze(-1), size).squeeze(-1).cumsum(-1)
        within = (scores_NGCC * decay_matrix(cumulative_NGC)) @ v_NGCV
        last_NG1 = cumulative_NGC[..., -1:]
        q_NGCK = q_NGCK * cumulative_NGC.exp().unsqueeze(-1)
        k_NGCK = k_NGCK * (last_NG1 - cumulative_NGC).exp().unsqueeze(-1)
        decays = list(last_NG1.exp().unsqueeze(-1).unbind(0))
    outputs = []
    updates_NGKV = k_NGCK.transpose(-1, -2) @ v_NGCV
    for q_GCK, within_GCV, update_GKV, decay in zip(q_NGCK, within, updates_NGKV, decays, strict=True):
        outputs.append(torch.baddbmm(within_GCV, q_GCK, state))
        state = (state if decay is None else state * decay) + update_GKV
    return from_chunks(torch.stack(outputs), batch, length).to(dtype), state_from_groups(state, batch, state_v_first)
