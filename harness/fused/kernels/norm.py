"""Layer norm of a sum, and its gradient.

A forward pass leaves what each row was multiplied with, and what was added then: a backward pass finds the normalized
row by them, and asks for two sums along a row instead of four.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

THREAD_ELEMENTS = 16
"""Elements of a row that a thread holds; a row of many more has more threads."""
FEWEST_WARPS, MOST_WARPS = 2, 16
PROGRAMS = 8
"""On each multiprocessor in a backward pass; each adds up its own share of the weights' gradients."""
WIDEST = 8192
"""A wider row would not fit in the registers of its threads."""
WIDEST_AHEAD = 4096
"""Up to this width a backward pass reads the next tile while it works on one; wider ones may not fit together."""


@triton.jit
def _place(tile, rows, width: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """The rows and columns of a tile, and which of them there are."""
    row = tile * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, WIDTH)[None, :]
    here = row < rows if width == WIDTH else (row < rows) & (column < width)
    return row, column, here


@triton.jit
def _norm(
    x_ptr,
    branch_ptr,
    weight_ptr,
    bias_ptr,
    sum_ptr,
    y_ptr,
    scale_ptr,
    rows,
    epsilon,
    width: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    BRANCH: tl.constexpr,
    BIAS: tl.constexpr,
):
    row, column, here = _place(tl.program_id(0), rows, width, ROWS, WIDTH)
    at = row.to(tl.int64) * width + column
    x = tl.load(x_ptr + at, mask=here, other=0.0)
    if BRANCH:
        branch = tl.load(branch_ptr + at, mask=here, other=0.0)
        x = (x.to(tl.float32) + branch.to(tl.float32)).to(sum_ptr.dtype.element_ty)
        tl.store(sum_ptr + at, x, mask=here)
    x = x.to(tl.float32)
    mean = tl.sum(x, axis=1)[:, None] / width
    apart = x - mean if width == WIDTH else tl.where(column < width, x - mean, 0.0)
    scale = tl.rsqrt(tl.sum(apart * apart, axis=1)[:, None] / width + epsilon)
    tl.store(scale_ptr + row, scale, mask=row < rows)
    tl.store(scale_ptr + rows + row, -mean * scale, mask=row < rows)
    y = apart * scale * tl.load(weight_ptr + column, mask=column < width, other=0.0).to(tl.float32)
    if BIAS:
        y += tl.load(bias_ptr + column, mask=column < width, other=0.0).to(tl.float32)
    tl.store(y_ptr + at, y, mask=here)


@triton.jit
def _add_pairs(a, b, c, d):
    return a + c, b + d


@triton.jit
def _norm_gradient(
    x_ptr,
    dsum_ptr,
    dy_ptr,
    weight_ptr,
    scale_ptr,
    dx_ptr,
    dweight_ptr,
    dbias_ptr,
    rows,
    programs,
    width: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    SUM: tl.constexpr,
    BIAS: tl.constexpr,
    STAGES: tl.constexpr,
):
    column = tl.arange(0, WIDTH)[None, :]
    weight = tl.load(weight_ptr + column, mask=column < width, other=0.0).to(tl.float32)
    dweight = tl.zeros((ROWS, WIDTH), tl.float32)
    dbias = tl.zeros((ROWS, WIDTH), tl.float32)
    for tile in tl.range(tl.program_id(0), tl.cdiv(rows, ROWS), programs, num_stages=STAGES):
        row, column, here = _place(tile, rows, width, ROWS, WIDTH)
        at = row.to(tl.int64) * width + column
        x = tl.load(x_ptr + at, mask=here, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + at, mask=here, other=0.0).to(tl.float32)
        scale = tl.load(scale_ptr + row, mask=row < rows, other=0.0)
        normal = x * scale + tl.load(scale_ptr + rows + row, mask=row < rows, other=0.0)
        dnormal = dy * weight
        along, level = tl.reduce((dnormal * normal, dnormal), 1, _add_pairs)
        share = scale / width
        dx = dnormal * scale - level[:, None] * share - normal * (along[:, None] * share)
        if SUM:
            dx += tl.load(dsum_ptr + at, mask=here, other=0.0).to(tl.float32)
        tl.store(dx_ptr + at, dx, mask=here)
        dweight += dy * normal
        if BIAS:
            dbias += dy
    mine = tl.program_id(0) * width + column
    tl.store(dweight_ptr + mine, tl.sum(dweight, axis=0)[None, :], mask=column < width)
    if BIAS:
        tl.store(dbias_ptr + mine, tl.sum(dbias, axis=0)[None, :], mask=column < width)


def forward(
    x: Tensor, branch: Tensor | None, weight: Tensor, bias: Tensor | None, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """x + branch (x itself without one), that normalized over its last axis in `dtype`, and what `gradient` needs.

    x and branch (..., C), weight and bias (C) -> (..., C) twice, and (2, rows). Contiguous all but the branch.
    """
    rows, tiles, options = _tiles(x, bias)
    total = x if branch is None else torch.empty_like(x, dtype=torch.promote_types(x.dtype, branch.dtype))
    branch = None if branch is None else branch.contiguous()
    y = torch.empty_like(x, dtype=dtype)
    scales = torch.empty(2, rows, dtype=torch.float32, device=x.device)
    _norm[(tiles,)](
        x,
        x if branch is None else branch,
        weight,
        weight if bias is None else bias,
        total,
        y,
        scales,
        rows,
        epsilon,
        BRANCH=branch is not None,
        **options,
    )
    return total, y, scales


def gradient(
    x: Tensor, weight: Tensor, bias: Tensor | None, scales: Tensor, dsum: Tensor | None, dy: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The gradients of x (that of the sum added), weight and bias, from those of the sum and of the normalized.

    x, dsum and dy (..., C), weight and bias (C) -> (..., C), (C), (C). `scales` (2, rows) is what each row was
    multiplied with to be normalized, and what was added then.
    """
    rows, tiles, options = _tiles(x, bias)
    programs = min(tiles, PROGRAMS * _multiprocessors(x.device))
    dy, dsum = dy.contiguous(), None if dsum is None else dsum.contiguous()
    dx = torch.empty_like(x)
    dweight = torch.empty(programs, x.shape[-1], dtype=torch.float32, device=x.device)
    dbias = torch.empty_like(dweight) if bias is not None else dweight
    _norm_gradient[(programs,)](
        x,
        x if dsum is None else dsum,
        dy,
        weight,
        scales,
        dx,
        dweight,
        dbias,
        rows,
        programs,
        SUM=dsum is not None,
        STAGES=2 if options["WIDTH"] <= WIDEST_AHEAD else 1,
        **options,
    )
    return dx, dweight.sum(0).to(weight.dtype), dbias.sum(0).to(weight.dtype) if bias is not None else None


def _tiles(x: Tensor, bias: Tensor | None) -> tuple[int, int, dict[str, int]]:
    """Rows of x, tiles that they make, and what both kernels are told of a tile, which a program holds at a time."""
    width = x.shape[-1]
    rows, tile = x.numel() // width, triton.next_power_of_2(width)
    warps = min(MOST_WARPS, max(FEWEST_WARPS, tile // (32 * THREAD_ELEMENTS)))
    together = max(1, 32 * THREAD_ELEMENTS * warps // tile)
    options = {"width": width, "ROWS": together, "WIDTH": tile, "BIAS": bias is not None, "num_warps": warps}
    return rows, triton.cdiv(rows, together), options


def _multiprocessors(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).multi_processor_count) if device.type == "cuda" else 1
