"""The elementwise gated recurrence of HGRN, h_t = exp(g_t) h_{t-1} + x_t (Qin et al. 2023, arXiv:2311.04823)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.fla_cpu.layout import from_chunks, to_chunks
from harness.fla_cpu.precision import full_precision, promote
from harness.fla_cpu.vector_decay import CHUNK, pairwise_decay


@full_precision
def hgrn(
    x: Tensor, g: Tensor, initial_state: Tensor | None = None, output_final_state: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Return h (B, T, D) and, if asked, the last h (B, D). x, g: (B, T, D), g the natural log of the decay."""
    batch, length, width = x.shape
    size = min(CHUNK, length)
    x_NBCD, g_NBCD = (to_chunks(promote(y).unsqueeze(2), size) for y in (x, g))
    cumulative_NBCD = g_NBCD.cumsum(-2)
    within_NBCD = (pairwise_decay(cumulative_NBCD, cumulative_NBCD, 1) * x_NBCD.unsqueeze(-3)).sum(-2)
    state_BD = x_NBCD.new_zeros(batch, width) if initial_state is None else promote(initial_state)
    outputs = []
    for within_BCD, decay_BCD in zip(within_NBCD, cumulative_NBCD.exp(), strict=True):
        outputs.append(torch.addcmul(within_BCD, decay_BCD, state_BD.unsqueeze(1)))
        state_BD = outputs[-1][:, -1]
    h_BTD = from_chunks(torch.stack(outputs), batch, length).squeeze(2)
    return h_BTD.to(x.dtype), state_BD if output_final_state else None
