"""Native sparse attention: compressed, selected and sliding attention, gated and summed (Yuan et al. 2025,
arXiv:2502.11089).

Which blocks a query selects follows FLA: the first, its own and the one before always, then the blocks with the highest
compressed attention averaged over the query heads that share a key head.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harness.fla_cpu.precision import full_precision, promote


@full_precision
def native_sparse_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g_cmp: Tensor,
    g_slc: Tensor | None,
    g_swa: Tensor | None,
    block_counts: Tensor | int,
    block_size: int,
    window_size: int,
    scale: float | None = None,
) -> Tensor:
    """Return the attention (B, T, HQ, V). q: (B, T, HQ, K). k: (B, T, H, K). v: (B, T, H, V). Gates: (B, T, HQ).

    block_counts: how many blocks of `block_size` positions a query selects, one number or (B, T, H). window_size:
    positions of the sliding part, 0 for none. Raises ValueError when HQ / H is not a power of two from 16 up, as FLA's
    kernels need.
    """
    groups = q.shape[2] // k.shape[2]
    if groups * k.shape[2] != q.shape[2] or groups < 16 or groups & (groups - 1):
        raise ValueError(
            f"native sparse attention: {q.shape[2]} query heads over {k.shape[2]} key heads are {groups} a group; "
            "the group must be a power of 2 and at least 16."
        )
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    q_BHTK, k_BHTK, v_BHTV = (promote(x).transpose(1, 2) for x in (q, k, v))
    compressed, probabilities_BHTC = _compressed(q_BHTK, k_BHTK, v_BHTV, block_size, scale)
    chosen_BHTN, valid_BHTN = _select(probabilities_BHTC.detach(), block_counts, block_size, k.shape[2])
    total = _attend_blocks(q_BHTK, k_BHTK, v_BHTV, chosen_BHTN, valid_BHTN, block_size, scale)
    if g_slc is not None:
        total = total * _gate(g_slc)
    total = total + compressed * _gate(g_cmp)
    if window_size > 0:
        sliding = _slide(q_BHTK, k_BHTK, v_BHTV, window_size, scale)
        total = total + (sliding if g_swa is None else sliding * _gate(g_swa))
    return total.transpose(1, 2).to(q.dtype)


def _gate(g_BTH: Tensor) -> Tensor:
    """Return a gate (B, T, H) as (B, H, T, 1)."""
    return promote(g_BTH).transpose(1, 2).unsqueeze(-1)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Return softmax attention over the True entries of `mask`, key heads shared by groups of query heads."""
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True)


def _slide(q: Tensor, k: Tensor, v: Tensor, window: int, scale: float) -> Tensor:
    """Return softmax attention over the last `window` positions, by blocks of as many: each with the block before."""
    length, groups = q.shape[2], q.shape[1] // k.shape[1]
    q, k, v = (functional.pad(x, (0, 0, 0, -length % window)).unflatten(2, (-1, window)) for x in (q, k, v))
    k, v = (torch.cat((functional.pad(x, (0, 0, 0, 0, 1, 0))[:, :, :-1], x), 3) for x in (k, v))
    k_BHNUK, v_BHNUV = (x.repeat_interleave(groups, 1) for x in (k, v))
    key_U = torch.arange(2 * window, device=q.device)
    behind_WU = torch.arange(window, device=q.device)[:, None] + window - key_U
    exists_N1U = torch.arange(q.shape[2], device=q.device)[:, None, None] * window + key_U >= window
    seen_NWU = (behind_WU >= 0) & (behind_WU < window) & exists_N1U
    y_BHNWV = functional.scaled_dot_product_attention(q, k_BHNUK, v_BHNUV, attn_mask=seen_NWU, scale=scale)
    return y_BHNWV.flatten(2, 3)[:, :, :length]


def _attend_blocks(
    q: Tensor, k: Tensor, v: Tensor, chosen_BHTN: Tensor, valid_BHTN: Tensor, block_size: int, scale: float
) -> Tensor:
    """Return softmax attention over the chosen blocks up to each query: (B, HQ, T, V).

    Few blocks are gathered for each query, so that the work grows with the length and not with its square; as long as
    they cover much of the window, a masked product over the whole of it is faster.
    """
    length, groups = q.shape[2], q.shape[1] // k.shape[1]
    position_T1 = torch.arange(length, device=q.device)[:, None]
    blocks = -(-length // block_size)
    if length <= 4 * chosen_BHTN.shape[-1] * block_size:
        seen_BHTC = torch.zeros(*chosen_BHTN.shape[:3], blocks, dtype=torch.bool, device=q.device)
        seen_BHTC = seen_BHTC.scatter(-1, chosen_BHTN, valid_BHTN)
        seen_BHTT = seen_BHTC.repeat_interleave(block_size, -1)[..., :length] & (position_T1 >= position_T1.mT)
        return _attend(q, k, v, seen_BHTT.repeat_interleave(groups, 1), scale)
    row_B111 = torch.arange(k.shape[0], device=q.device)[:, None, None, None]
    head_H11 = torch.arange(k.shape[1], device=q.device)[:, None, None]
    padded = (functional.pad(x, (0, 0, 0, blocks * block_size - length)) for x in (k, v))
    k_BHTUK, v_BHTUV = (
        x.unflatten(2, (blocks, block_size))[row_B111, head_H11, chosen_BHTN].flatten(3, 4) for x in padded
    )
    key_BHTU = (chosen_BHTN[..., None] * block_size + torch.arange(block_size, device=q.device)).flatten(3)
    seen_BHTU = (key_BHTU <= position_T1) & valid_BHTN.repeat_interleave(block_size, -1)
    q_BHTGK = q.unflatten(1, (k.shape[1], groups)).transpose(2, 3)
    scores_BHTGU = (q_BHTGK @ k_BHTUK.mT * scale).masked_fill(~seen_BHTU[:, :, :, None], -torch.inf)
    return (scores_BHTGU.softmax(-1) @ v_BHTUV).transpose(2, 3).flatten(1, 2)


def mean_pooling(x: Tensor, chunk_size: int) -> Tensor:
    """Return the mean of every chunk, a partial last one over what it holds, (B, T, H, D) -> (B, chunks, H, D)."""
    return torch.stack([chunk.mean(1) for chunk in promote(x).split(chunk_size, 1)], 1).to(x.dtype)


def _pool(x_BHTD: Tensor, block_size: int) -> Tensor:
    """Return the mean of every whole block, (B, H, T, D) -> (B, H, T // block_size, D)."""
    blocks = x_BHTD.shape[2] // block_size
    return x_BHTD[:, :, : blocks * block_size].unflatten(2, (blocks, block_size)).mean(3)


def _compressed(q: Tensor, k: Tensor, v: Tensor, block_size: int, scale: float) -> tuple[Tensor, Tensor]:
    """Return attention to block means and its probabilities (B, HQ, T, C); a query sees the blocks that end by then."""
    groups = q.shape[1] // k.shape[1]
    k_BHCK, v_BHCV = (_pool(x, block_size).repeat_interleave(groups, 1) for x in (k, v))
    end_C = (torch.arange(k_BHCK.shape[2], device=q.device) + 1) * block_size - 1
    hidden_TC = end_C > torch.arange(q.shape[2], device=q.device)[:, None]
    scores = (q @ k_BHCK.transpose(-1, -2) * scale).masked_fill(hidden_TC, torch.finfo(q.dtype).min)
    probabilities = scores.softmax(-1).masked_fill(hidden_TC, 0.0)
    return probabilities @ v_BHCV, probabilities


def _select(probabilities: Tensor, block_counts: Tensor | int, block_size: int, heads: int) -> tuple[Tensor, Tensor]:
    """Return which blocks, a partial last one included, each query reads: (B, HQ, T, C) -> (B, H, T, N) and valid.

    A query reads a block of its list where `valid` says so: the first ones are shorter of blocks than the list is long.
    """
    length = probabilities.shape[2]
    scores = probabilities.unflatten(1, (heads, -1)).mean(2)
    blocks = -(-length // block_size)
    scores = functional.pad(scores, (0, blocks - scores.shape[-1]))
    block_C = torch.arange(blocks, device=scores.device)
    own_T1 = (torch.arange(length, device=scores.device) // block_size)[:, None]
    forced_TC = (block_C == 0) | (block_C == own_T1) | (block_C == own_T1 - 1)
    scores = scores.masked_fill(forced_TC, 2.0).masked_fill(block_C > own_T1, -1.0)
    most = block_counts if isinstance(block_counts, int) else int(block_counts.max())
    top = scores.topk(min(most, blocks), -1).indices
    rank = torch.arange(top.shape[-1], device=top.device)
    limit = block_counts if isinstance(block_counts, int) else block_counts.transpose(1, 2).unsqueeze(-1)
    return top, (rank < limit) & (top <= own_T1)
