"""Cross-entropy of rows of logits, whose gradient takes the place of the logits.

A row is read twice, and the second time should find it in the GPU's cache: a program has so many threads that few
rows are under way at once, and what it writes goes first when the cache is full. Each thread keeps a maximum and a sum
of its own until the row is read.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

LARGEST_BLOCK, THREAD_LOGITS = 16384, 16
"""Logits of a row that are under way together, and those of a thread."""
VECTOR = tl.constexpr(8)
"""Neighbouring logits that a thread reads at once."""
LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _loss(
    logits_ptr,
    targets_ptr,
    losses_ptr,
    width,
    share,
    BLOCK: tl.constexpr,
    GRADIENT: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    logits_ptr += row * width
    target = tl.load(targets_ptr + row).to(tl.int32)
    known = (target >= 0) & (target < width)
    chosen = tl.load(logits_ptr + target, mask=known, other=float("nan")).to(tl.float32)
    vectors: tl.constexpr = BLOCK // VECTOR
    within = tl.arange(0, vectors)[:, None] * VECTOR + tl.arange(0, VECTOR)[None, :]
    highest = tl.full((vectors,), -1e30, tl.float32)
    total = tl.zeros((vectors,), tl.float32)
    for start in range(0, width, BLOCK):
        column = start + within
        z = tl.load(logits_ptr + column, mask=column < width, other=float("-inf"), eviction_policy="evict_last")
        z = z.to(tl.float32)
        higher = tl.maximum(highest, tl.max(z, axis=1) * LOG2_E)
        total = total * tl.exp2(highest - higher) + tl.sum(tl.exp2(z * LOG2_E - higher[:, None]), axis=1)
        highest = higher
    top = tl.max(highest, axis=0)
    partition = top + tl.log2(tl.sum(total * tl.exp2(highest - top), axis=0))
    tl.store(losses_ptr + row, partition / LOG2_E - chosen)
    if GRADIENT:
        shifted = partition - tl.log2(share)  # so that the exponential below comes multiplied
        for start in range(0, width, BLOCK):
            column = start + within
            z = tl.load(logits_ptr + column, mask=column < width, other=0.0).to(tl.float32)
            gradient = tl.exp2(z * LOG2_E - shifted)
            tl.store(logits_ptr + column, gradient, mask=column < width, cache_modifier=".cs")
        tl.debug_barrier()  # the target's logit is written twice, by two threads
        tl.store(logits_ptr + target, tl.exp2(chosen * LOG2_E - shifted) - share, mask=known)


def losses(logits: Tensor, targets: Tensor, gradient: bool) -> Tensor:
    """Cross-entropy of each row of logits (N, V), in fp32; with `gradient` that of their mean replaces the logits.

    Logits and targets (N) are contiguous. No number where the target is none of the V.
    """
    rows, width = logits.shape
    found = torch.empty(rows, dtype=torch.float32, device=logits.device)
    block = min(LARGEST_BLOCK, max(32 * THREAD_LOGITS, triton.next_power_of_2(width)))
    warps = block // (32 * THREAD_LOGITS)
    _loss[(rows,)](logits, targets, found, width, 1.0 / rows, BLOCK=block, GRADIENT=gradient, num_warps=warps)
    return found
