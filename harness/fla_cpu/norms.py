"""FLA's normalisations: L2, layer, RMS and group norm, gated or not, with or without a residual or a linear map after.

RMS norm divides by sqrt(mean(x^2) + eps) (Zhang & Sennrich 2019, arXiv:1910.07467).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harness.fla_cpu.activations import gate
from harness.fla_cpu.precision import full_precision, promote


@full_precision
def l2_norm(x: Tensor, eps: float = 1e-6, output_dtype: torch.dtype | None = None) -> Tensor:
    """Return x / sqrt(sum(x^2) + eps) along the last axis, in `output_dtype` or that of `x`."""
    wide = promote(x)
    norm = torch.rsqrt(wide.square().sum(-1, keepdim=True) + eps)
    return (wide * norm).to(output_dtype or x.dtype)


def _add_residual(x: Tensor, residual: Tensor | None, in_fp32: bool) -> tuple[Tensor, Tensor]:
    """Return x + residual for the norm and the same sum in the dtype in which the caller carries residuals."""
    if residual is None:
        wide = promote(x)
        return wide, wide.to(torch.float32 if in_fp32 else x.dtype)
    total = promote(x) + promote(residual)
    return total, total.to(residual.dtype)


def _normalize(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, rms: bool, groups: int = 1) -> Tensor:
    """Normalise each of `groups` equal parts of the last axis, then scale and shift."""
    parts = x.unflatten(-1, (groups, -1))
    if not rms:
        parts = parts - parts.mean(-1, keepdim=True)
    parts = parts * torch.rsqrt(parts.square().mean(-1, keepdim=True) + eps)
    y = parts.flatten(-2)
    if weight is not None:
        y = y * promote(weight)
    return y if bias is None else y + promote(bias)


@full_precision
def layer_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None = None,
    eps: float = 1e-5,
    prenorm: bool = False,
    residual_in_fp32: bool = False,
    is_rms_norm: bool = False,
    num_groups: int = 1,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the layer, RMS or group norm of x (..., D) plus the residual; with `prenorm` also that sum."""
    total, carried = _add_residual(x, residual, residual_in_fp32)
    y = _normalize(total, weight, bias, eps, is_rms_norm, num_groups).to(x.dtype)
    return (y, carried) if prenorm else y


def layer_norm_linear(
    x: Tensor,
    norm_weight: Tensor | None,
    norm_bias: Tensor | None,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    residual: Tensor | None = None,
    eps: float = 1e-5,
    prenorm: bool = False,
    residual_in_fp32: bool = False,
    is_rms_norm: bool = False,
    num_groups: int = 1,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return a linear map of `layer_norm`."""
    y, carried = layer_norm(x, norm_weight, norm_bias, residual, eps, True, residual_in_fp32, is_rms_norm, num_groups)
    out = functional.linear(y.to(linear_weight.dtype), linear_weight, linear_bias)
    return (out, carried) if prenorm else out


@full_precision
def layer_norm_gated(
    x: Tensor,
    g: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    activation: str,
    residual: Tensor | None = None,
    eps: float = 1e-6,
    prenorm: bool = False,
    residual_in_fp32: bool = False,
    is_rms_norm: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the layer or RMS norm of x (..., D) times the activated gate g of the same shape."""
    total, carried = _add_residual(x, residual, residual_in_fp32)
    y = _normalize(total, weight, bias, eps, is_rms_norm) * gate(promote(g), activation)
    y = y.to(x.dtype)
    return (y, carried) if prenorm else y


def layer_norm_gated_linear(
    x: Tensor,
    g: Tensor,
    norm_weight: Tensor | None,
    norm_bias: Tensor | None,
    linear_weight: Tensor,
    linear_bias: Tensor | None,
    residual: Tensor | None = None,
    eps: float = 1e-6,
    prenorm: bool = False,
    residual_in_fp32: bool = False,
    is_rms_norm: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return a linear map of `layer_norm_gated` with a swish gate."""
    y, carried = layer_norm_gated(
        x, g, norm_weight, norm_bias, "swish", residual, eps, True, residual_in_fp32, is_rms_norm
    )
    out = functional.linear(y.to(linear_weight.dtype), linear_weight, linear_bias)
    return (out, carried) if prenorm else out


@full_precision
def mamba_gated_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    z: Tensor | None = None,
    eps: float = 1e-6,
    group_size: int | None = None,
    norm_before_gate: bool = True,
    is_rms_norm: bool = False,
) -> Tensor:
    """Return Mamba 2's norm of x (..., D) in groups of `group_size`, gated by swish(z) before or after the norm."""
    wide = promote(x)
    if z is not None and not norm_before_gate:
        wide = wide * gate(promote(z), "swish")
    groups = 1 if group_size is None else x.shape[-1] // group_size
    y = _normalize(wide, weight, bias, eps, is_rms_norm, groups)
    if z is not None and norm_before_gate:
        y = y * gate(promote(z), "swish")
    return y.to(x.dtype)
