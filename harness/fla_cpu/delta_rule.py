"""The delta rule with and without a scalar decay, and products of Householder steps, in their WY chunk form.

S_t = exp(g_t) S_{t-1} + beta_t k_t (v_t - exp(g_t) S_{t-1}^T k_t)^T,  o_t = scale * S_t^T q_t
(Yang et al. 2024, arXiv:2406.06484 and arXiv:2412.06464); a product takes several such steps a position, the decay on
the first and the output after the last (Siems et al. 2025, arXiv:2502.10297).
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.fla_cpu.layout import from_chunks, state_from_groups, state_to_groups, to_chunks
from harness.fla_cpu.precision import full_precision, promote

CHUNK = 32


def _inverse(mixing_NGRR: Tensor) -> Tensor:
    """Invert unit lower triangular matrices, of which only what lies below the diagonal is read."""
    identity_RR = torch.eye(mixing_NGRR.shape[-1], dtype=mixing_NGRR.dtype, device=mixing_NGRR.device)
    return torch.linalg.solve_triangular(mixing_NGRR, identity_RR, upper=False, unitriangular=True)


def _later(size: int, steps: int, device: torch.device) -> Tensor:
    """Whether a row, of `steps` rows a position, belongs to a later position: (C, R)."""
    position_C = torch.arange(size, device=device)
    return position_C.repeat_interleave(steps) > position_C.unsqueeze(-1)


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
    steps: int = 1,
) -> tuple[Tensor, Tensor]:
    """Return the outputs (B, T, H, V) and the last state of the (gated) delta rule, or of a product of `steps` of them.

    q: (B, T, H, K). k: (B, T * steps, H, K). v: (B, T * steps, H, V). beta: (B, T * steps, H), step sizes. g:
    (B, T, H), natural log of the decay, or None. A chunk has C positions, hence R = C * steps rows of keys and values.
    """
    dtype, batch, length = q.dtype, q.shape[0], q.shape[1]
    q, k, v, beta = promote(q) * scale, promote(k), promote(v), promote(beta).unsqueeze(-1)
    state = state_to_groups(initial_state, k, v, state_v_first)
    size = min(max(1, CHUNK // steps), length)
    q_NGCK = to_chunks(q, size)
    k_NGRK, v_NGRV, beta_NGR1 = (to_chunks(x, size * steps) for x in (k, v, beta))
    scaled_keys_NGRK = k_NGRK * beta_NGR1
    keys_NGKR = k_NGRK.transpose(-1, -2)
    mixing_NGRR, scores_NGCR = scaled_keys_NGRK @ keys_NGKR, q_NGCK @ keys_NGKR
    decays: list[Tensor | None] = [None] * len(q_NGCK)
    later_CR = _later(size, steps, q.device)
    if g is None:
        scores_NGCR = scores_NGCR.masked_fill(later_CR, 0)
        erase_NGRK = -scaled_keys_NGRK
    else:
        cumulative_NGC = to_chunks(promote(g).unsqueeze(-1), size).squeeze(-1).cumsum(-1)
        cumulative_NGR = cumulative_NGC.repeat_interleave(steps, -1)
        difference_NGCR = cumulative_NGC.unsqueeze(-1) - cumulative_NGR.unsqueeze(-2)
        decay_NGCR = difference_NGCR.masked_fill(later_CR, -torch.inf).exp()
        scores_NGCR = scores_NGCR * decay_NGCR
        mixing_NGRR = (mixing_NGRR.unflatten(-2, (size, steps)) * decay_NGCR.unsqueeze(-2)).flatten(-3, -2)
        q_NGCK = q_NGCK * cumulative_NGC.exp().unsqueeze(-1)
        erase_NGRK = scaled_keys_NGRK * -cumulative_NGR.exp().unsqueeze(-1)
        last_NG1 = cumulative_NGC[..., -1:]
        keys_NGKR = keys_NGKR * (last_NG1 - cumulative_NGR).exp().unsqueeze(-2)
        decays = list(last_NG1.exp().unsqueeze(-1).unbind(0))
    # Row i writes beta_i v_i less what the rows before it wrote: a unit lower triangular system.
    inverse_NGRR = _inverse(mixing_NGRR)
    outputs = []
    chunks = (x.unbind() for x in (v_NGRV * beta_NGR1, erase_NGRK, inverse_NGRR, q_NGCK, scores_NGCR, keys_NGKR))
    for value, erase, inverse, query, score, key, decay in zip(*chunks, decays, strict=True):
        written_GRV = inverse @ torch.baddbmm(value, erase, state)
        outputs.append(torch.baddbmm(query @ state, score, written_GRV))
        state = torch.baddbmm(state if decay is None else state * decay, key, written_GRV)
    return from_chunks(torch.stack(outputs), batch, length).to(dtype), state_from_groups(state, batch, state_v_first)
