"""Move FLA's (B, T, H, D) tensors to (N, G, C, D) chunks and back: N chunks of C positions, G = B * H sequences.

The chunk axis comes first so that the loop over chunks reads contiguous memory. The last chunk is padded with zeros: a
zero key, value, step size and log decay leave a recurrent state as it is.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def to_chunks(x_BTHD: Tensor, size: int) -> Tensor:
    """Cut time into chunks of `size` positions, (B, T, H, D) -> (N, B * H, size, D)."""
    batch, length, heads, width = x_BTHD.shape
    chunks = -(-length // size)
    if chunks * size != length:
        x_BTHD = functional.pad(x_BTHD, (0, 0, 0, 0, 0, chunks * size - length))
    x_BNCHD = x_BTHD.reshape(batch, chunks, size, heads, width)
    return x_BNCHD.permute(1, 0, 3, 2, 4).reshape(chunks, batch * heads, size, width)


def from_chunks(x_NGCD: Tensor, batch: int, length: int) -> Tensor:
    """Undo `to_chunks` and drop the padding, (N, B * H, C, D) -> (B, length, H, D)."""
    chunks, groups, size, width = x_NGCD.shape
    x_NBHCD = x_NGCD.reshape(chunks, batch, groups // batch, size, width)
    return x_NBHCD.permute(1, 0, 3, 2, 4).reshape(batch, chunks * size, groups // batch, width)[:, :length]


def state_to_groups(state_BHKV: Tensor | None, like_BTHK: Tensor, values_BTHV: Tensor, state_v_first: bool) -> Tensor:
    """Return the initial state as (B * H, K, V), zeros for None; with `state_v_first` it comes as (B, H, V, K)."""
    batch, _, heads, key_width = like_BTHK.shape
    value_width = values_BTHV.shape[-1]
    if state_BHKV is None:
        return values_BTHV.new_zeros(batch * heads, key_width, value_width)
    state_BHKV = state_BHKV.to(values_BTHV.dtype)
    if state_v_first:
        state_BHKV = state_BHKV.transpose(-1, -2)
    return state_BHKV.reshape(batch * heads, key_width, value_width)


def state_from_groups(state_GKV: Tensor, batch: int, state_v_first: bool) -> Tensor:
    """Undo `state_to_groups`."""
    state_BHKV = state_GKV.unflatten(0, (batch, -1))
    return state_BHKV.transpose(-1, -2).contiguous() if state_v_first else state_BHKV
