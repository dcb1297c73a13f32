"""The delta rule with and without a scalar decay, and products of Householder steps, in their WY chunk form.

S_t = exp(g_t) S_{t-1} + beta_t k_t (v_t - exp(g_t) S_{t-1}^T k_t)^T,  o_t = scale * S_t^T q_t
(Yang et al. 2024, arXiv:2406.06484 and arXiv:2412.06464).
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.fla_cpu.layout import from_chunks, state_from_groups, state_to_groups, to_chunks
from harness.fla_cpu.precision import full_precision, promote
from harness.fla_cpu.scalar_decay import decay_matrix

CHUNK = 32


@full_precision
def delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    scale: float,
    initial_state: Tensor | None = None,
    state_v_first: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return the outputs (B, T, H, V) and the last state of the (gated) delta rule.

    q, k: (B, T, H, K). v: (B, T, H, V). beta: (B, T, H), step sizes. g: (B, T, H), natural log of the decay, or None.
    """
    dtype, batch, length = q.dtype, q.shape[0], q.shape[1]
    q, k, v, beta = promote(q) * scale, promote(k), promote(v), promote(beta).unsqueeze(-1)
    state = state_to_groups(initial_state, k, v, state_v_first)
    size = min(CHUNK, length)
    q_NGCK, k_NGCK, v_NGCV, beta_NGC1 = (to_chunks(x, size) for x in (q, k, v, beta))
    scaled_keys_NGCK = k_NGCK * beta_NGC1
    keys_NGKC = k_NGCK.transpose(-1, -2)
    mixing_NGCC, scores_NGCC = scaled_keys_NGCK @ keys_NGKC, q_NGCK @ keys_NGKC
    decays: list[Tensor | None] = [None] * len(q_NGCK)
    if g is None:
        scores_NGCC = scores_NGCC.tril()
    else:
        cumulative_NGC = to_chunks(promote(g).unsqueeze(-1), size).squeeze(-1).cumsum(-1)
        decay_NGCC = decay_matrix(cumulative_NGC)
        mixing_NGCC, scores_NGCC = mixing_NGCC * decay_NGCC, scores_NGCC * decay_NGCC
        from_start_NGC1 = cumulative_NGC.exp().unsqueeze(-1)
        q_NGCK, scaled_keys_NGCK = q_NGCK * from_start_NGC1, scaled_keys_NGCK * from_start_NGC1
        last_NG1 = cumulative_NGC[..., -1:]
        keys_NGKC = keys_NGKC * (last_NG1 - cumulative_NGC).exp().unsqueeze(-2)
        decays = list(last_NG1.exp().unsqueeze(-1).unbind(0))
    # Row i is beta_i v_i less what the rows before it wrote: a unit lower triangular system.
    right = torch.cat((v_NGCV * beta_NGC1, scaled_keys_NGCK), -1)
    solved = torch.linalg.solve_triangular(mixing_NGCC, right, upper=False, unitriangular=True)
    new_NGCV, erase_NGCK = solved.split((v.shape[-1], k.shape[-1]), -1)
    outputs = []
    chunks = (x.unbind() for x in (new_NGCV, erase_NGCK, q_NGCK, scores_NGCC, keys_NGKC))
    for new, erase, query, score, key, decay in zip(*chunks, decays, strict=True):
        written_GCV = torch.baddbmm(new, erase, state, alpha=-1)
        outputs.append(torch.baddbmm(query @ state, score, written_GCV))
        state = torch.baddbmm(state if decay is None else state * decay, key, written_GCV)
    return from_chunks(torch.stack(outputs), batch, length).to(dtype), state_from_groups(state, batch, state_v_first)
