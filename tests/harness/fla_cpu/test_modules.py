"""FLA's fused norms, activations, convolution, rotary embedding, RWKV-7 pieces and NSA against plain torch forms."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

WIDTH = 32


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("rms", [False, True])
def test_norms_equal_the_reference(residual: bool, groups: int, rms: bool, assert_same: Callable[..., None]) -> None:
    """Layer, RMS and group norm equal FLA's reference, with the sum before the norm handed back."""
    from fla.modules.layernorm import group_norm, group_norm_ref

    def ours(x: Tensor, weight: Tensor, bias: Tensor, other: Tensor | None) -> Any:
        return group_norm(x, weight, bias, other, prenorm=True, is_rms_norm=rms, num_groups=groups)

    def reference(x: Tensor, weight: Tensor, bias: Tensor, other: Tensor | None) -> Any:
        return group_norm_ref(x, weight, bias, groups, residual=other, prenorm=True, is_rms_norm=rms)

    other = torch.randn(2, 5, WIDTH) if residual else None
    assert_same(ours, reference, (torch.randn(2, 5, WIDTH), torch.randn(WIDTH), torch.randn(WIDTH), other))


def test_norm_then_linear(assert_same: Callable[..., None]) -> None:
    """RMS norm fused with a linear map equals the two in turn."""
    from fla.modules.layernorm import rms_norm_linear

    def reference(x: Tensor, weight: Tensor, linear: Tensor) -> Tensor:
        return functional.linear(functional.rms_norm(x, (WIDTH,), weight, 1e-5), linear)

    inputs = (torch.randn(2, 5, WIDTH), torch.randn(WIDTH), torch.randn(7, WIDTH))
    assert_same(lambda x, weight, linear: rms_norm_linear(x, weight, None, linear, None), reference, inputs)


@pytest.mark.parametrize("activation", ["swish", "sigmoid"])
def test_gated_norm(activation: str, assert_same: Callable[..., None]) -> None:
    """The fused gated RMS norm equals the norm times the activated gate."""
    from fla.modules import FusedRMSNormGated

    module = FusedRMSNormGated(WIDTH, activation=activation, eps=1e-5)
    gate = functional.silu if activation == "swish" else torch.sigmoid
    assert_same(
        module,
        lambda x, g: functional.rms_norm(x, (WIDTH,), module.weight, 1e-5) * gate(g),
        (torch.randn(2, 5, 3, WIDTH), torch.randn(2, 5, 3, WIDTH)),
    )


@pytest.mark.parametrize("before", [False, True])
def test_mamba_gated_norm(before: bool, assert_same: Callable[..., None]) -> None:
    """Mamba 2's grouped norm equals its plain form with the gate before or after the norm."""
    from fla.modules.layernorm_gated import RMSNormGated

    module = RMSNormGated(WIDTH, eps=1e-5, norm_before_gate=before, group_size=8)

    def reference(x: Tensor, z: Tensor) -> Tensor:
        x = x if before else x * functional.silu(z)
        x = functional.rms_norm(x.unflatten(-1, (4, 8)), (8,), None, 1e-5).flatten(-2) * module.weight
        return x * functional.silu(z) if before else x

    assert_same(module, reference, (torch.randn(2, 5, WIDTH), torch.randn(2, 5, WIDTH)))


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("length", [2, 37])
def test_short_convolution(with_state: bool, length: int, assert_same: Callable[..., None]) -> None:
    """The short convolution equals a grouped conv1d over the earlier inputs, also on fewer positions than taps."""
    from fla.modules import ShortConvolution

    module = ShortConvolution(WIDTH, 4, bias=True, activation="silu")

    def reference(x: Tensor, state: Tensor | None) -> Any:
        start = x.new_zeros(2, WIDTH, 4) if state is None else state
        padded = torch.cat((start, x.transpose(1, 2)), -1)
        y = functional.conv1d(padded[..., 1:], module.weight, module.bias, groups=WIDTH)
        return functional.silu(y).transpose(1, 2), padded[..., -4:]

    state = torch.randn(2, WIDTH, 4) if with_state else None
    inputs = (torch.randn(2, length, WIDTH), state)
    assert_same(lambda x, state: module(x, cache=state, output_final_state=True), reference, inputs)


def test_short_convolution_step_by_step() -> None:
    """Feeding the convolution one input at a time with its cache gives what it gives on all of them at once."""
    from fla.modules import ShortConvolution

    module, x, cache = ShortConvolution(WIDTH, 4, activation="silu"), torch.randn(2, 6, WIDTH), None
    whole, _ = module(x)
    with torch.no_grad():
        for t in range(x.shape[1]):
            y, cache = module(x[:, t : t + 1], cache=cache, output_final_state=True)
            torch.testing.assert_close(y, whole[:, t : t + 1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_embedding(interleaved: bool, assert_same: Callable[..., None]) -> None:
    """Rotary embedding of part of the channels from an offset equals FLA's reference."""
    from fla.modules.rotary.ops import rotary_embedding, rotary_embedding_ref

    angles = torch.outer(torch.arange(12.0), torch.rand(8))
    cos, sin = angles.cos(), angles.sin()
    assert_same(
        lambda x: rotary_embedding(x, cos, sin, interleaved=interleaved, seqlen_offsets=2),
        lambda x: rotary_embedding_ref(x, cos[2:], sin[2:], interleaved),
        (torch.randn(2, 10, 3, 20),),
    )


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("sigmoid", torch.sigmoid),
        ("swish", functional.silu),
        ("logsigmoid", functional.logsigmoid),
        ("sqrelu", lambda x: x.relu().square()),
        ("fast_gelu_impl", lambda x: functional.gelu(x, approximate="tanh")),
        ("elu_p1", lambda x: functional.elu(x) + 1),
    ],
)
def test_activations(name: str, reference: Callable[[Tensor], Tensor], assert_same: Callable[..., None]) -> None:
    """Every activation in FLA's table equals torch's."""
    from fla.modules import activations

    assert_same(getattr(activations, name), reference, (torch.randn(3, 5, WIDTH),))


def test_gated_linear_units(assert_same: Callable[..., None]) -> None:
    """SwiGLU, alone and followed by a linear map, equals silu(x) * y."""
    from fla.modules.activations import swiglu, swiglu_linear

    x, y, weight = torch.randn(3, WIDTH), torch.randn(3, WIDTH), torch.randn(7, WIDTH)
    assert_same(swiglu, lambda x, y: functional.silu(x) * y, (x, y))
    assert_same(
        lambda x, y, w: swiglu_linear(x, y, w, None),
        lambda x, y, w: functional.linear(functional.silu(x) * y, w),
        (x, y, weight),
    )


def test_rwkv7_pieces(assert_same: Callable[..., None]) -> None:
    """Token shift, the six mixes, the key update and the output gate equal FLA's reference forms."""
    from fla.modules.token_shift import token_shift, token_shift_ref
    from fla.ops.rwkv7.fused_addcmul import fused_addcmul_rwkv7, torch_addcmul_rwkv7
    from fla.ops.rwkv7.fused_k_update import fused_k_rwkv7, k_update_ref
    from fla.ops.rwkv7.gate_output_correction import gate_output_correction, gate_output_correction_ref

    x = torch.randn(2, 5, WIDTH)
    mixes = [torch.rand(1, 1, WIDTH) for _ in range(6)]
    heads = [torch.randn(2, 5, 4, 8) for _ in range(3)]
    assert_same(token_shift, token_shift_ref, (x,))
    assert_same(fused_addcmul_rwkv7, torch_addcmul_rwkv7, (x, torch.randn_like(x), *mixes))
    assert_same(fused_k_rwkv7, k_update_ref, (x, torch.rand_like(x), torch.rand(WIDTH)))
    r, k, v = heads
    inputs = (x, r, k, torch.randn(4, 8), v, torch.randn_like(x))
    assert_same(gate_output_correction, gate_output_correction_ref, inputs)


@pytest.mark.parametrize(("length", "counts"), [*product((37, 100, 128), (1, 4, 8)), (300, 4)])
def test_native_sparse_attention(length: int, counts: int, assert_same: Callable[..., None]) -> None:
    """Compressed and selected attention over few, some and all blocks equals FLA's naive form.

    A long window's blocks are gathered, a short one's are masked.
    """
    from fla.ops.nsa.naive import naive_nsa
    from fla.ops.nsa.parallel import parallel_nsa

    q, k, v = torch.randn(2, length, 32, 8), torch.randn(2, length, 2, 8), torch.randn(2, length, 2, 12)
    gates = [torch.rand(2, length, 32) for _ in range(2)]

    def call(function: Callable[..., Any], *tensors: Tensor) -> Any:
        return function(*tensors, block_counts=counts, block_size=16)

    assert_same(lambda *x: call(parallel_nsa, *x), lambda *x: call(naive_nsa, *x), (q, k, v, *gates))


def test_sliding_part_of_native_sparse_attention(assert_same: Callable[..., None]) -> None:
    """The sliding part adds softmax attention over the last `window_size` positions, gated."""
    from fla.ops.nsa.parallel import parallel_nsa

    length, window = 40, 7
    q, k, v = torch.randn(1, length, 16, 8), torch.randn(1, length, 1, 8), torch.randn(1, length, 1, 8)
    zero, one = torch.zeros(1, length, 16), torch.ones(1, length, 16)

    def ours(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return parallel_nsa(q, k, v, zero, zero, one, block_counts=2, block_size=16, window_size=window)

    def reference(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        distance = torch.arange(length)[:, None] - torch.arange(length)
        scores = torch.einsum("bihd,bjd->bhij", q, k[:, :, 0]) * 8**-0.5
        scores = scores.masked_fill((distance < 0) | (distance >= window), -torch.inf)
        return torch.einsum("bhij,bjd->bihd", scores.softmax(-1), v[:, :, 0])

    assert_same(ours, reference, (q, k, v))
