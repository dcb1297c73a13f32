"""The Triton kernels of short causal convolutions: y[t] = bias + sum_s weight[s] x[t - 3 + s] in each channel.

A program walks along its positions and keeps what it still needs in registers, so that every number is read once and
the pre-activations that a gradient needs are computed where they are used.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

TAPS = 4
"""As many as the layers of flash-linear-attention have."""
CHANNELS, POSITIONS = 128, 128
"""Of a program, which is one warp."""
UNROLLED = tl.constexpr(4)
"""Positions whose reads are under way together."""


@triton.jit
def _load_row(pointer, position, stride, length, channel, width):
    """The channels of a position; zero before the first and after the last."""
    channels = tl.where((position >= 0) & (position < length), width, 0)
    return tl.load(pointer + position * stride + channel, mask=channel < channels, other=0.0)


@triton.jit
def _store_row(pointer, position, length, channel, width, value):
    channels = tl.where(position < length, width, 0)
    tl.store(pointer + position * width + channel, value, mask=channel < channels)


@triton.jit
def _taps(weight_ptr, bias_ptr, channel, width, BIAS: tl.constexpr):
    """The weights of the position itself and of those one, two and three before it; the bias."""
    here = channel < width
    w0 = tl.load(weight_ptr + channel * 4 + 3, mask=here, other=0.0).to(tl.float32)
    w1 = tl.load(weight_ptr + channel * 4 + 2, mask=here, other=0.0).to(tl.float32)
    w2 = tl.load(weight_ptr + channel * 4 + 1, mask=here, other=0.0).to(tl.float32)
    w3 = tl.load(weight_ptr + channel * 4, mask=here, other=0.0).to(tl.float32)
    if BIAS:
        return w0, w1, w2, w3, tl.load(bias_ptr + channel, mask=here, other=0.0).to(tl.float32)
    else:
        return w0, w1, w2, w3, tl.zeros_like(w0)


@triton.jit
def _three_before(x_ptr, first, stride, length, channel, width):
    """The channels of the positions one, two and three before the first."""
    x3 = _load_row(x_ptr, first - 3, stride, length, channel, width).to(tl.float32)
    x2 = _load_row(x_ptr, first - 2, stride, length, channel, width).to(tl.float32)
    x1 = _load_row(x_ptr, first - 1, stride, length, channel, width).to(tl.float32)
    return x1, x2, x3


@triton.jit
def _weighted(x0, x1, x2, x3, w0, w1, w2, w3, bias):
    """A position before its activation."""
    return bias + w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3


@triton.jit
def _convolution(
    x_ptr,
    weight_ptr,
    bias_ptr,
    y_ptr,
    length,
    width,
    x_batch,
    x_stride,
    POSITIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
    BIAS: tl.constexpr,
    SILU: tl.constexpr,
):
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    x_ptr += tl.program_id(2).to(tl.int64) * x_batch
    y_ptr += tl.program_id(2).to(tl.int64) * length * width
    w0, w1, w2, w3, bias = _taps(weight_ptr, bias_ptr, channel, width, BIAS)
    first = tl.program_id(1) * POSITIONS
    x1, x2, x3 = _three_before(x_ptr, first, x_stride, length, channel, width)
    for start in range(first, first + POSITIONS, UNROLLED):
        ahead = ()
        for i in tl.static_range(UNROLLED):
            ahead += (_load_row(x_ptr, start + i, x_stride, length, channel, width),)
        for i in tl.static_range(UNROLLED):
            x0 = ahead[i].to(tl.float32)
            y = _weighted(x0, x1, x2, x3, w0, w1, w2, w3, bias)
            if SILU:
                y *= tl.sigmoid(y)
            _store_row(y_ptr, start + i, length, channel, width, y)
            x3, x2, x1 = x2, x1, x0


@triton.jit
def _inner_gradient(dy, x0, x1, x2, x3, w0, w1, w2, w3, bias, SILU: tl.constexpr):
    """The gradient of a position before its activation."""
    inner = dy.to(tl.float32)
    if SILU:
        y = _weighted(x0, x1, x2, x3, w0, w1, w2, w3, bias)
        share = tl.sigmoid(y)
        inner *= share * (1.0 + y * (1.0 - share))
    return inner


@triton.jit
def _convolution_gradient(
    x_ptr,
    dy_ptr,
    weight_ptr,
    bias_ptr,
    dx_ptr,
    dweight_ptr,
    dbias_ptr,
    length,
    width,
    x_batch,
    x_stride,
    dy_batch,
    dy_stride,
    POSITIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
    BIAS: tl.constexpr,
    SILU: tl.constexpr,
):
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    x_ptr += tl.program_id(2).to(tl.int64) * x_batch
    dy_ptr += tl.program_id(2).to(tl.int64) * dy_batch
    dx_ptr += tl.program_id(2).to(tl.int64) * length * width
    w0, w1, w2, w3, bias = _taps(weight_ptr, bias_ptr, channel, width, BIAS)
    d0, d1, d2, d3 = tl.zeros_like(w0), tl.zeros_like(w0), tl.zeros_like(w0), tl.zeros_like(w0)
    dbias = tl.zeros_like(w0)
    g1, g2, g3 = tl.zeros_like(w0), tl.zeros_like(w0), tl.zeros_like(w0)
    first = tl.program_id(1) * POSITIONS
    end = first + POSITIONS
    x1, x2, x3 = _three_before(x_ptr, first, x_stride, length, channel, width)
    for start in range(first, end + 3, UNROLLED):  # a position's gradient is complete three positions later
        xs, dys = (), ()
        for i in tl.static_range(UNROLLED):
            limit = tl.where(start + i < end + 3, length, 0)
            xs += (_load_row(x_ptr, start + i, x_stride, limit, channel, width),)
            dys += (_load_row(dy_ptr, start + i, dy_stride, limit, channel, width),)
        for i in tl.static_range(UNROLLED):
            x0 = xs[i].to(tl.float32)
            g0 = _inner_gradient(dys[i], x0, x1, x2, x3, w0, w1, w2, w3, bias, SILU)
            done = tl.where((start + i >= first + 3) & (start + i < end + 3), start + i - 3, length)
            dx = w0 * g3 + w1 * g2 + w2 * g1 + w3 * g0
            _store_row(dx_ptr, done, length, channel, width, dx)
            mine = tl.where(start + i < end, 1.0, 0.0)  # the next program counts what comes after
            d0 += mine * g0 * x0
            d1 += mine * g0 * x1
            d2 += mine * g0 * x2
            d3 += mine * g0 * x3
            dbias += mine * g0
            x3, x2, x1 = x2, x1, x0
            g3, g2, g1 = g2, g1, g0
    part = (tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)).to(tl.int64) * width
    here = channel < width
    tl.store(dweight_ptr + part * 4 + channel, d3, mask=here)
    tl.store(dweight_ptr + part * 4 + width + channel, d2, mask=here)
    tl.store(dweight_ptr + part * 4 + width * 2 + channel, d1, mask=here)
    tl.store(dweight_ptr + part * 4 + width * 3 + channel, d0, mask=here)
    if BIAS:
        tl.store(dbias_ptr + part + channel, dbias, mask=here)


def forward(x: Tensor, weight: Tensor, bias: Tensor | None, silu: bool) -> Tensor:
    """The convolution of x, and SiLU of it if asked: (B, T, D), (D, 4), (D) -> (B, T, D)."""
    batch, length, width = x.shape
    weight, y = weight.contiguous(), torch.empty((batch, length, width), dtype=x.dtype, device=x.device)
    _convolution[triton.cdiv(width, CHANNELS), triton.cdiv(length, POSITIONS), batch](
        x,
        weight,
        weight if bias is None else bias.contiguous(),
        y,
        length,
        width,
        x.stride(0),
        x.stride(1),
        POSITIONS=POSITIONS,
        CHANNELS=CHANNELS,
        BIAS=bias is not None,
        SILU=silu,
        num_warps=1,
    )
    return y


def gradient(
    x: Tensor, dy: Tensor, weight: Tensor, bias: Tensor | None, silu: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The gradients of x, weight and bias from that of y (B, T, D); both have their channels side by side."""
    batch, length, width = x.shape
    parts = triton.cdiv(length, POSITIONS)
    weight, dx = weight.contiguous(), torch.empty((batch, length, width), dtype=x.dtype, device=x.device)
    dweight = torch.empty((batch * parts, TAPS, width), dtype=torch.float32, device=x.device)
    dbias = dweight if bias is None else torch.empty((batch * parts, width), dtype=torch.float32, device=x.device)
    _convolution_gradient[triton.cdiv(width, CHANNELS), parts, batch](
        x,
        dy,
        weight,
        weight if bias is None else bias.contiguous(),
        dx,
        dweight,
        dbias,
        length,
        width,
        x.stride(0),
        x.stride(1),
        dy.stride(0),
        dy.stride(1),
        POSITIONS=POSITIONS,
        CHANNELS=CHANNELS,
        BIAS=bias is not None,
        SILU=silu,
        num_warps=1,
    )
    return dx, dweight.sum(0).T.to(weight.dtype), None if bias is None else dbias.sum(0).to(bias.dtype)
