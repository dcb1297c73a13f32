"""The generalised delta rule with a diagonal plus low rank transition, the recurrence of RWKV-7.

S_t = Diag(exp(g_t)) S_{t-1} + b_t (S_{t-1}^T a_t)^T + k_t v_t^T,  o_t = scale * S_t^T q_t
(Peng et al. 2025, arXiv:2503.14456).
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.fla_cpu.layout import from_chunks, state_from_groups, state_to_groups, to_chunks
from harness.fla_cpu.precision import full_precision, promote
from harness.fla_cpu.vector_decay import CHUNK, decayed_scores


@full_precision
def diagonal_plus_low_rank(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    g: Tensor,
    scale: float,
    initial_state: Tensor | None = None,
    state_v_first: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the outputs (B, T, H, V) and the last state. q, k, a, b, g: (B, T, H, K). v: (B, T, H, V).

    With u_t = S_{t-1}^T a_t, a chunk that starts from S_0 obeys (I - A_ab) U = A_ak V + (a exp(G_{t-1})) S_0.
    """
    dtype, batch, length = q.dtype, q.shape[0], q.shape[1]
    q, k, v, a, b, g = promote(q) * scale, promote(k), promote(v), promote(a), promote(b), promote(g)
    state = state_to_groups(initial_state, k, v, state_v_first)
    size = min(CHUNK, length)
    q_NGCK, k_NGCK, v_NGCV, a_NGCK, b_NGCK, g_NGCK = (to_chunks(x, size) for x in (q, k, v, a, b, g))
    cumulative_NGCK = g_NGCK.cumsum(-2)
    before_NGCK = cumulative_NGCK - g_NGCK
    last_NG1K = cumulative_NGCK[..., -1:, :]
    scores_qk, scores_qb = decayed_scores(q_NGCK, cumulative_NGCK, (k_NGCK, b_NGCK), cumulative_NGCK, 1)
    scores_ak, scores_ab = decayed_scores(a_NGCK, before_NGCK, (k_NGCK, b_NGCK), cumulative_NGCK, 0)
    right = torch.cat((scores_ak @ v_NGCV, a_NGCK * before_NGCK.exp()), -1)
    solved = torch.linalg.solve_triangular(-scores_ab, right, upper=False, unitriangular=True)
    new_NGCV, start_NGCK = solved.split((v.shape[-1], k.shape[-1]), -1)
    within_NGCV = scores_qk @ v_NGCV
    q_NGCK = q_NGCK * cumulative_NGCK.exp()
    to_end_NGCK = (last_NG1K - cumulative_NGCK).exp()
    updates_NGKV = (k_NGCK * to_end_NGCK).transpose(-1, -2) @ v_NGCV
    writes_NGKC = (b_NGCK * to_end_NGCK).transpose(-1, -2)
    decays_NGK1 = last_NG1K.exp().transpose(-1, -2)
    outputs = []
    chunks = (new_NGCV, start_NGCK, within_NGCV, q_NGCK, scores_qb, updates_NGKV, writes_NGKC, decays_NGK1)
    # Unbinding, unlike indexing, has a backward that is linear in the number of chunks.
    for new, start, within, query, score, update, write, decay in zip(*(x.unbind() for x in chunks), strict=True):
        low_rank_GCV = torch.baddbmm(new, start, state)
        outputs.append(torch.baddbmm(torch.baddbmm(within, query, state), score, low_rank_GCV))
        state = torch.addcmul(torch.baddbmm(update, write, low_rank_GCV), state, decay)
    return from_chunks(torch.stack(outputs), batch, length).to(dtype), state_from_groups(state, batch, state_v_first)
