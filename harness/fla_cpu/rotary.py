"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.fla_cpu.errors import UnsupportedOption
from harness.fla_cpu.precision import full_precision, promote


@full_precision
def rotary_embedding(
    x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool = False, seqlen_offsets: int | Tensor = 0
) -> Tensor:
    """Rotate pairs of channels of x (B, T, H, D) by the angles of cos and sin (S, R / 2); channels from R on stay.

    Pairs are (i, i + R / 2), or neighbours if `interleaved`. Raises UnsupportedOption for one offset a sequence.
    """
    if isinstance(seqlen_offsets, Tensor):
        raise UnsupportedOption(
            "rotary embedding: seqlen_offsets as a tensor is not supported on a CPU, only an integer"
        )
    half, length = cos.shape[-1], x.shape[1]
    cos_T1R, sin_T1R = (promote(table[seqlen_offsets : seqlen_offsets + length]).unsqueeze(1) for table in (cos, sin))
    wide = promote(x)
    turned, rest = wide[..., : 2 * half], wide[..., 2 * half :]
    first, second = (turned[..., ::2], turned[..., 1::2]) if interleaved else turned.split(half, -1)
    pair = (first * cos_T1R - second * sin_T1R, second * cos_T1R + first * sin_T1R)
    rotated = torch.stack(pair, -1).flatten(-2) if interleaved else torch.cat(pair, -1)
    return torch.cat((rotated, rest), -1).to(x.dtype)
