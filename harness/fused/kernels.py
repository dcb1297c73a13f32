"""The Triton kernels of the script's frozen parts: element-wise work that touches every number as seldom as it can.

All compute in fp32, whatever they read. A row is one position's channels (norm) or one position's logits (loss).
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

GELU_BLOCK, GELU_WARPS = 2048, 4
NORM_ELEMENTS, NORM_WARPS = 4096, 4
"""A program holds as many rows at a time as have so many elements."""
NORM_PROGRAMS = 8
"""On each multiprocessor in a backward pass; each adds up its own share of the weights' gradients."""
LOSS_BLOCK, LOSS_WARPS = 8192, 16
ADDENDS = 8
"""Tensors that are added up in one pass, at most."""
ADD_BLOCK, ADD_WARPS = 2048, 4

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _normal(z):
    """Distribution and density of the standard normal: Abramowitz and Stegun, 26.2.17; its error is below 7.5e-8."""
    density = 0.3989422804014327 * tl.exp2(z * z * -0.7213475204444817)
    t = 1.0 / (1.0 + 0.2316419 * tl.abs(z))
    series = 0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
    tail = density * t * series
    return tl.where(z < 0, tail, 1.0 - tail), density


@triton.jit
def _gelu(x_ptr, y_ptr, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < count).to(tl.float32)
    below, _ = _normal(x)
    tl.store(y_ptr + at, x * below, mask=at < count)


@triton.jit
def _gelu_gradient(x_ptr, dy_ptr, dx_ptr, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < count).to(tl.float32)
    dy = tl.load(dy_ptr + at, mask=at < count).to(tl.float32)
    below, density = _normal(x)
    tl.store(dx_ptr + at, dy * (below + x * density), mask=at < count)


@triton.jit
def _norm(
    x_ptr,
    branch_ptr,
    weight_ptr,
    bias_ptr,
    sum_ptr,
    y_ptr,
    rows,
    width,
    epsilon,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    BRANCH: tl.constexpr,
    BIAS: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS).to(tl.int64)
    column = tl.arange(0, WIDTH)
    at = row[:, None] * width + column[None, :]
    here = (row < rows)[:, None] & (column < width)[None, :]
    x = tl.load(x_ptr + at, mask=here, other=0.0)
    if BRANCH:
        branch = tl.load(branch_ptr + at, mask=here, other=0.0)
        x = (x.to(tl.float32) + branch.to(tl.float32)).to(sum_ptr.dtype.element_ty)
        tl.store(sum_ptr + at, x, mask=here)
    normal, _ = _normalized(x, column, width, epsilon)
    y = normal * tl.load(weight_ptr + column, mask=column < width, other=0.0).to(tl.float32)[None, :]
    if BIAS:
        y += tl.load(bias_ptr + column, mask=column < width, other=0.0).to(tl.float32)[None, :]
    tl.store(y_ptr + at, y, mask=here)


@triton.jit
def _normalized(x, column, width, epsilon):
    """The rows without mean and with variance one, and what they were multiplied with."""
    x = x.to(tl.float32)
    apart = tl.where((column < width)[None, :], x - tl.sum(x, axis=1)[:, None] / width, 0.0)
    scale = tl.rsqrt(tl.sum(apart * apart, axis=1) / width + epsilon)[:, None]
    return apart * scale, scale


@triton.jit
def _norm_gradient(
    x_ptr,
    dsum_ptr,
    dy_ptr,
    weight_ptr,
    dx_ptr,
    dweight_ptr,
    dbias_ptr,
    rows,
    width,
    epsilon,
    programs,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    SUM: tl.constexpr,
    BIAS: tl.constexpr,
):
    column = tl.arange(0, WIDTH)
    weight = tl.load(weight_ptr + column, mask=column < width, other=0.0).to(tl.float32)
    dweight = tl.zeros((WIDTH,), tl.float32)
    dbias = tl.zeros((WIDTH,), tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(rows, ROWS), programs):
        row = tile * ROWS + tl.arange(0, ROWS).to(tl.int64)
        at = row[:, None] * width + column[None, :]
        here = (row < rows)[:, None] & (column < width)[None, :]
        x = tl.load(x_ptr + at, mask=here, other=0.0)
        dy = tl.load(dy_ptr + at, mask=here, other=0.0).to(tl.float32)
        normal, scale = _normalized(x, column, width, epsilon)
        dnormal = dy * weight[None, :]
        along = tl.sum(dnormal * normal, axis=1)[:, None] / width
        dx = scale * (dnormal - tl.sum(dnormal, axis=1)[:, None] / width - normal * along)
        if SUM:
            dx += tl.load(dsum_ptr + at, mask=here, other=0.0).to(tl.float32)
        tl.store(dx_ptr + at, dx, mask=here)
        dweight += tl.sum(dy * normal, axis=0)
        if BIAS:
            dbias += tl.sum(dy, axis=0)
    mine = tl.program_id(0) * width + column
    tl.store(dweight_ptr + mine, dweight, mask=column < width)
    if BIAS:
        tl.store(dbias_ptr + mine, dbias, mask=column < width)


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
    highest = tl.full((), -1e30, tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, width, BLOCK):
        column = start + tl.arange(0, BLOCK)
        z = tl.load(logits_ptr + column, mask=column < width, other=float("-inf")).to(tl.float32) * LOG2_E
        higher = tl.maximum(highest, tl.max(z, axis=0))
        total = total * tl.exp2(highest - higher) + tl.exp2(z - higher)
        highest = higher
    partition = highest + tl.log2(tl.sum(total, axis=0))
    tl.store(losses_ptr + row, partition / LOG2_E - chosen)
    if GRADIENT:
        shifted = partition - tl.log2(share)  # so that the exponential below comes multiplied
        for start in range(0, width, BLOCK):
            column = start + tl.arange(0, BLOCK)
            z = tl.load(logits_ptr + column, mask=column < width, other=0.0).to(tl.float32) * LOG2_E
            gradient = tl.exp2(z - shifted)
            gradient = tl.where(column == target, gradient - share, gradient)
            tl.store(logits_ptr + column, gradient, mask=column < width)


def gelu(x: Tensor) -> Tensor:
    """x times the share of a standard normal below x; any shape, contiguous."""
    y = torch.empty_like(x)
    _gelu[(triton.cdiv(x.numel(), GELU_BLOCK),)](x, y, x.numel(), BLOCK=GELU_BLOCK, num_warps=GELU_WARPS)
    return y


def gelu_gradient(x: Tensor, dy: Tensor) -> Tensor:
    """The gradient of x from that of gelu(x)."""
    dx = torch.empty_like(x)
    grid = (triton.cdiv(x.numel(), GELU_BLOCK),)
    _gelu_gradient[grid](x, dy, dx, x.numel(), BLOCK=GELU_BLOCK, num_warps=GELU_WARPS)
    return dx


def norm(
    x: Tensor, branch: Tensor | None, weight: Tensor, bias: Tensor | None, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """x + branch (x itself without one), and that normalized over its last axis, in `dtype`."""
    rows, width, together, tile = _tiles(x)
    total = x if branch is None else torch.empty_like(x, dtype=torch.promote_types(x.dtype, branch.dtype))
    branch = None if branch is None else branch.contiguous()
    y = torch.empty_like(x, dtype=dtype)
    _norm[(triton.cdiv(rows, together),)](
        x,
        x if branch is None else branch,
        weight,
        weight if bias is None else bias,
        total,
        y,
        rows,
        width,
        epsilon,
        ROWS=together,
        WIDTH=tile,
        BRANCH=branch is not None,
        BIAS=bias is not None,
        num_warps=NORM_WARPS,
    )
    return total, y


def norm_gradient(
    x: Tensor, weight: Tensor, bias: Tensor | None, dsum: Tensor | None, dy: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The gradients of x (that of the sum added), weight and bias, from those of the sum and of the normalized."""
    rows, width, together, tile = _tiles(x)
    programs = min(triton.cdiv(rows, together), NORM_PROGRAMS * _multiprocessors(x.device))
    dy, dsum = dy.contiguous(), None if dsum is None else dsum.contiguous()
    dx = torch.empty_like(x)
    dweight = torch.empty(programs, width, dtype=torch.float32, device=x.device)
    dbias = torch.empty_like(dweight) if bias is not None else dweight
    _norm_gradient[(programs,)](
        x,
        x if dsum is None else dsum,
        dy,
        weight,
        dx,
        dweight,
        dbias,
        rows,
        width,
        epsilon,
        programs,
        ROWS=together,
        WIDTH=tile,
        SUM=dsum is not None,
        BIAS=bias is not None,
        num_warps=NORM_WARPS,
    )
    return dx, dweight.sum(0).to(weight.dtype), dbias.sum(0).to(weight.dtype) if bias is not None else None


def _tiles(x: Tensor) -> tuple[int, int, int, int]:
    """Rows and width of x, and of the tile that a program holds at a time."""
    width = x.shape[-1]
    tile = triton.next_power_of_2(width)
    return x.numel() // width, width, max(1, NORM_ELEMENTS // tile), tile


def _multiprocessors(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).multi_processor_count) if device.type == "cuda" else 1


def losses(logits: Tensor, targets: Tensor, gradient: bool) -> Tensor:
    """Cross-entropy of each row of logits (N, V), in fp32; with `gradient` that of their mean replaces the logits.

    No number where the target is none of the V.
    """
    rows, width = logits.shape
    found = torch.empty(rows, dtype=torch.float32, device=logits.device)
    _loss[(rows,)](logits, targets, found, width, 1.0 / rows, BLOCK=LOSS_BLOCK, GRADIENT=gradient, num_warps=LOSS_WARPS)
    return found


@triton.jit
def _add_up(addends, y_ptr, count, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    y = tl.zeros((BLOCK,), tl.float32)
    for i in tl.static_range(len(addends)):
        y += tl.load(addends[i] + at, mask=at < count).to(tl.float32)
    tl.store(y_ptr + at, y, mask=at < count)


def add_up(addends: Sequence[Tensor]) -> Tensor:
    """The sum of two to ADDENDS contiguous tensors of one shape and precision."""
    y = torch.empty_like(addends[0])
    grid = (triton.cdiv(y.numel(), ADD_BLOCK),)
    _add_up[grid](tuple(addends), y, y.numel(), BLOCK=ADD_BLOCK, num_warps=ADD_WARPS)
    return y
