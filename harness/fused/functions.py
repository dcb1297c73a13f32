"""Norm, GELU and loss of the script's frozen parts on a GPU: what its class Fused computes, with fewer bytes moved.

Whatever the kernels cannot do (on a CPU, under torch.func or torch.compile, for a gradient of a gradient) torch's own
functions do in their place.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable
from torch.nn import functional

from harness.fused import kernels

EPSILON = 1e-5
"""Added to the variance by a layer norm: torch's default."""
PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
"""Of which kernels compute in fp32."""


def gelu(x: Tensor) -> Tensor:
    """Gaussian error linear unit, x times the share of a standard normal below x: (...) -> (...)."""
    if not on_kernels(x) or x.dtype != torch.bfloat16:
        return functional.gelu(x)
    y: Tensor = GELU.apply(x.contiguous())  # here, where autograd sees it
    return y


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x normalized over its last axis in fp32, in the precision of autocast: (..., C) -> (..., C)."""
    return add_layer_norm(x, None, weight, bias)[1]


def add_layer_norm(x: Tensor, branch: Tensor | None, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """x + branch, or x alone, and that normalized: (..., C) -> (..., C) twice.

    It computes in fp32 and gives what it normalized in the precision of autocast. Whoever goes on with both results
    saves a pass over their gradients, which are added where they are made.
    """
    dtype = _autocast_dtype(x)
    if not on_kernels(x) or not _can_normalize(x, branch, weight, bias):
        return _add_layer_norm(x, branch, weight, bias, dtype)
    bias = None if bias is None else bias.contiguous()
    total, y = AddLayerNorm.apply(x.contiguous(), branch, weight.contiguous(), bias, dtype)
    return total, y


def head(x: Tensor, weight: Tensor, targets: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Logits x weight^T, and their mean cross-entropy: (B, T, C), (V, C), (B, T) -> (B, T, V), ().

    In a training the gradient of the logits takes their place as soon as they are read: None is all that is left.
    """
    if targets is not None and torch.is_grad_enabled() and on_kernels(x) and x.dtype == torch.bfloat16:
        return None, LinearCrossEntropy.apply(x.flatten(0, 1), weight, targets.flatten())
    logits = functional.linear(x, weight)
    return logits, None if targets is None else functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def in_autocast(x: Tensor) -> Tensor:
    """x in the precision of autocast."""
    return x.to(_autocast_dtype(x))


def _autocast_dtype(x: Tensor) -> torch.dtype:
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def on_kernels(x: Tensor) -> bool:
    """Whether a kernel can take this tensor, and nothing transforms the code around it."""
    if torch.compiler.is_compiling():  # which fuses torch's functions itself
        return False
    transformed = torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
    return x.is_cuda and x.numel() > 0 and not transformed


def _can_normalize(x: Tensor, branch: Tensor | None, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the kernel has this norm: along the last axis, in no more than fp32, of rows that fit."""
    row = x.shape[-1:]
    fits = all(
        each is None or (each.shape == shape and each.dtype in PRECISIONS)
        for each, shape in ((x, x.shape), (branch, x.shape), (weight, row), (bias, row))
    )
    return fits and x.shape[-1] <= kernels.norm.WIDEST


def is_plain(gradient: Tensor) -> bool:
    """Whether a kernel can take a gradient: it will not be differentiated, and is not many at once."""
    many = torch._C._functorch.is_legacy_batchedtensor(gradient) or torch._C._are_functorch_transforms_active()
    return not many and not torch.is_grad_enabled()


def _add_layer_norm(
    x: Tensor, branch: Tensor | None, weight: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    total = x if branch is None else x + branch
    wide = total.to(torch.promote_types(total.dtype, weight.dtype))  # a GPU takes one precision alone
    return total, functional.layer_norm(wide, weight.shape, weight, bias, EPSILON).to(dtype)


class GELU(torch.autograd.Function):
    """x in bf16, contiguous -> x times the share of a standard normal below x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return kernels.gelu.forward(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if is_plain(dy):
            return kernels.gelu.gradient(x, dy.contiguous())
        return torch.ops.aten.gelu_backward(dy, x)


class AddLayerNorm(torch.autograd.Function):
    """x, branch or None, weight, bias or None, dtype -> x + branch, and that normalized in this dtype.

    All but the branch contiguous: a copy made in here would be saved without what it was computed from.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, branch: Tensor | None, weight: Tensor, bias: Tensor | None, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.dtypes = dtype, x.dtype, None if branch is None else branch.dtype
        total, y, scales = kernels.norm.forward(x, branch, weight, bias, EPSILON, dtype)
        ctx.save_for_backward(total, weight, bias, scales)
        return (x.view_as(x) if branch is None else total), y

    @staticmethod
    def backward(ctx: Any, dtotal: Tensor | None, dy: Tensor | None) -> tuple[Tensor | None, ...]:
        dtype, x_dtype, branch_dtype = ctx.dtypes
        *inputs, scales = ctx.saved_tensors
        if dy is None:
            dx, dweight, dbias = dtotal, None, None
        elif is_plain(dy):
            dx, dweight, dbias = kernels.norm.gradient(*inputs, scales, dtotal, dy)
        else:
            dx, dweight, dbias = _any_gradients(*inputs, dtotal, dy, dtype)
        if dx is None:
            return None, None, dweight, dbias, None
        return dx.to(x_dtype), None if branch_dtype is None else dx.to(branch_dtype), dweight, dbias, None


def _any_gradients(
    total: Tensor, weight: Tensor, bias: Tensor | None, dtotal: Tensor | None, dy: Tensor, dtype: torch.dtype
) -> tuple[Tensor | None, ...]:
    """What the kernel computes, by functions that can be differentiated again; None for what needs no gradient."""
    inputs = (total, weight, bias)
    wanted = [each is not None and each.requires_grad for each in inputs]
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        y = _add_layer_norm(total, None, weight, bias, dtype)[1]
        asked = [x for x, use in zip(inputs, wanted, strict=True) if use]
        found = iter(torch.autograd.grad(y, asked, dy, retain_graph=True, create_graph=again))
    dx, dweight, dbias = (next(found) if use else None for use in wanted)
    return (dx if dtotal is None else dtotal if dx is None else dx + dtotal), dweight, dbias


class LinearCrossEntropy(torch.autograd.Function):
    """x (N, C) in bf16, weight (V, C), targets (N) -> mean loss of the logits x weight^T."""

    @staticmethod
    def forward(ctx: Any, x_NC: Tensor, weight_VC: Tensor, targets_N: Tensor) -> Tensor:
        narrow_VC = weight_VC.to(x_NC.dtype)
        logits_NV = x_NC @ narrow_VC.T
        losses_N = kernels.loss.losses(logits_NV, targets_N.contiguous(), any(ctx.needs_input_grad))
        ctx.save_for_backward(x_NC, narrow_VC, logits_NV)  # which now are their gradient
        ctx.dtype = weight_VC.dtype
        return losses_N.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor, Tensor, None]:
        x_NC, narrow_VC, dlogits_NV = ctx.saved_tensors
        dx_NC = (dlogits_NV @ narrow_VC).mul_(dloss.view(1, 1))  # without axes it would be rounded to bf16 first
        return dx_NC, (dlogits_NV.T @ x_NC).to(ctx.dtype) * dloss, None
