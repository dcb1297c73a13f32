"""GELU and its gradient, in so few operations that the memory is what they wait for.

With t = |x|, P the distribution and p the density of the standard normal, x P(x) = max(x, 0) - t P(-t), and its
derivative is d = P(-t) - t p(t) for x < 0 and 1 - d for the others. Both log2 P(-t) and d / exp(-t^2 / 2) are so smooth
that a polynomial comes close, here the ones with the smallest largest errors for t up to 6.5 and 6: 6e-7 in GELU
(7e-6 of it where t < 5) and 1.2e-6 in its derivative.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK, WARPS = 1024, 4
FARTHEST = tl.constexpr(10.0)
"""Beyond it P(-t) and p(t) are nothing beside 1. An infinite x counts as one far out; torch makes no number of it."""


@triton.jit
def _distance(x):
    """|x|, and no farther than matters."""
    return tl.minimum(tl.abs(x), FARTHEST, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _gelu(x_ptr, y_ptr, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < count).to(tl.float32)
    t = _distance(x)
    log2_tail = 6.10377604e-05 - 1.80265094e-06 * t
    log2_tail = -9.26784298e-04 + log2_tail * t
    log2_tail = 8.49585328e-03 + log2_tail * t
    log2_tail = -5.39407916e-02 + log2_tail * t
    log2_tail = -4.58478570e-01 + log2_tail * t
    log2_tail = -1.15124726e00 + log2_tail * t
    log2_tail = -9.99995470e-01 + log2_tail * t
    y = tl.maximum(x, 0.0, propagate_nan=tl.PropagateNan.ALL) - t * tl.exp2(log2_tail)
    tl.store(y_ptr + at, y, mask=at < count)


@triton.jit
def _gelu_gradient(x_ptr, dy_ptr, dx_ptr, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < count).to(tl.float32)
    dy = tl.load(dy_ptr + at, mask=at < count).to(tl.float32)
    t = _distance(x)
    slope = -6.15400287e-04 + 3.79044431e-05 * t
    slope = 4.39987897e-03 + slope * t
    slope = -1.88251865e-02 + slope * t
    slope = 5.61494701e-02 + slope * t
    slope = -1.29972407e-01 + slope * t
    slope = 2.49279263e-01 + slope * t
    slope = -7.97818133e-01 + slope * t
    slope = 4.99998995e-01 + slope * t
    slope *= tl.exp2(t * t * -0.7213475204444817)
    tl.store(dx_ptr + at, dy * tl.where(x < 0, slope, 1.0 - slope), mask=at < count)


def forward(x: Tensor) -> Tensor:
    """x times the share of a standard normal below x; any shape, contiguous."""
    y = torch.empty_like(x)
    _gelu[(triton.cdiv(x.numel(), BLOCK),)](x, y, x.numel(), BLOCK=BLOCK, num_warps=WARPS)
    return y


def gradient(x: Tensor, dy: Tensor) -> Tensor:
    """The gradient of x from that of forward(x), both contiguous."""
    dx = torch.empty_like(x)
    _gelu_gradient[(triton.cdiv(x.numel(), BLOCK),)](x, dy, dx, x.numel(), BLOCK=BLOCK, num_warps=WARPS)
    return dx
