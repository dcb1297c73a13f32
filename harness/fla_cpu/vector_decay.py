"""Linear attention whose state decays by one number a key channel: gated linear attention, HGRN2.

S_t = Diag(exp(g_t)) S_{t-1} + k_t v_t^T,  o_t = scale * S_t^T q_t (Yang et al. 2023, arXiv:2312.06635). Splitting
exp(G_i - G_j) into exp(G_i) exp(-G_j) overflows when the decay is strong: there differences are taken first, on chunks
of 16 positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.fla_cpu.layout import from_chunks, state_from_groups, state_to_groups, to_chunks
from harness.fla_cpu.precision import full_precision, promote

CHUNK = 16
# Largest |log decay| from the middle of a chunk at which both factors, and their product, stay well inside float32.
SPLIT_LIMIT = 20.0


def pairwise_decay(query_cumulative: Tensor, key_cumulative: Tensor, diagonal: int) -> Tensor:
    """Return exp(Gq_i - Gk_j) for j <= i + diagonal - 1 and 0 elsewhere, (..., C, K) twice -> (..., C, C, K)."""
    difference = query_cumulative.unsqueeze(-2) - key_cumulative.unsqueeze(-3)
    size = difference.shape[-2]
    future = torch.ones(size, size, dtype=torch.bool, device=difference.device).triu(diagonal)
    return difference.masked_fill(future.unsqueeze(-1), -torch.inf).exp()


def decayed_scores(
    queries: Tensor, query_cumulative: Tensor, keys: Sequence[Tensor], key_cumulative: Tensor, diagonal: int
) -> list[Tensor]:
    """Return sum over k of q_ik k_jk exp(Gq_ik - Gk_jk) for j <= i + diagonal - 1 and 0 elsewhere, for each of `keys`.

    Everything is (..., C, K), a score matrix (..., C, C). A weak decay is split into two factors, which makes this a
    matrix product; a strong one would overflow there.
    """
    centre = key_cumulative.detach()[..., -1:, :] / 2
    from_centre, to_centre = query_cumulative - centre, centre - key_cumulative
    bounds = (*from_centre.detach().aminmax(), *to_centre.detach().aminmax())
    if all(abs(bound.item()) <= SPLIT_LIMIT for bound in bounds):
        left, right = queries * from_centre.exp(), to_centre.exp().transpose(-1, -2)
        return [(left @ (key.transpose(-1, -2) * right)).tril(diagonal - 1) for key in keys]
    weighted = queries.unsqueeze(-2) * pairwise_decay(query_cumulative, key_cumulative, diagonal)
    return [(weighted * key.unsqueeze(-3)).sum(-1) for key in keys]


@full_precision
def vector_decay_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    scale: float,
    initial_state: Tensor | None = None,
    state_v_first: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the outputs (B, T, H, V) and the last state of S_t = Diag(exp(g_t)) S_{t-1} + k_t v_t^T.

    q, k, g: (B, T, H, K), g the natural log of the decay. v: (B, T, H, V).
    """
    dtype, batch, length = q.dtype, q.shape[0], q.shape[1]
    q, k, v, g = promote(q) * scale, promote(k), promote(v), promote(g)
    state = state_to_groups(initial_state, k, v, state_v_first)
    size = min(CHUNK, length)
    q_NGCK, k_NGCK, v_NGCV, g_NGCK = (to_chunks(x, size) for x in (q, k, v, g))
    cumulative_NGCK = g_NGCK.cumsum(-2)
    last_NG1K = cumulative_NGCK[..., -1:, :]
    (scores_NGCC,) = decayed_scores(q_NGCK, cumulative_NGCK, (k_NGCK,), cumulative_NGCK, 1)
    within_NGCV = scores_NGCC @ v_NGCV
    q_NGCK = q_NGCK * cumulative_NGCK.exp()
    updates_NGKV = (k_NGCK * (last_NG1K - cumulative_NGCK).exp()).transpose(-1, -2) @ v_NGCV
    outputs = []
    decays_NGK1 = last_NG1K.exp().transpose(-1, -2)
    for q_GCK, within_GCV, update_GKV, decay_GK1 in zip(q_NGCK, within_NGCV, updates_NGKV, decays_NGK1, strict=True):
        outputs.append(torch.baddbmm(within_GCV, q_GCK, state))
        state = torch.addcmul(update_GKV, state, decay_GK1)
    return from_chunks(torch.stack(outputs), batch, length).to(dtype), state_from_groups(state, batch, state_v_first)
