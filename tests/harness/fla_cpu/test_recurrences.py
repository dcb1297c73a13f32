"""Every covered recurrence, called through FLA's own entry point, against FLA's naive step by step form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

LENGTHS = (37, 100, 128)
BATCH, HEADS, KEY, VALUE = 2, 2, 16, 24


def unit(*shape: int) -> Tensor:
    return functional.normalize(torch.randn(*shape), dim=-1)


def log_decay(*shape: int) -> Tensor:
    return functional.logsigmoid(torch.randn(*shape))


def qkv(length: int) -> tuple[Tensor, Tensor, Tensor]:
    return unit(BATCH, length, HEADS, KEY), unit(BATCH, length, HEADS, KEY), torch.randn(BATCH, length, HEADS, VALUE)


def initial(with_state: bool) -> Tensor | None:
    return torch.randn(BATCH, HEADS, KEY, VALUE) if with_state else None


def heads_first(naive: Callable[..., Any]) -> Callable[..., Any]:
    """Adapt a naive form that wants (B, H, T, D) and returns it."""

    def adapted(*tensors: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        o, last = naive(*(x.transpose(1, 2) for x in tensors), initial_state=state)
        return o.transpose(1, 2), last

    return adapted


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("form", ["chunk_gla", "fused_recurrent_gla"])
def test_gla(form: str, length: int, with_state: bool, assert_same: Callable[..., None]) -> None:
    """Gated linear attention equals its recurrence, in chunks and step by step."""
    import fla.ops.gla as ops
    from fla.ops.gla.naive import naive_recurrent_gla

    def ours(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: Tensor | None) -> Any:
        return getattr(ops, form)(q, k, v, g, initial_state=state, output_final_state=True)

    def naive(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: Tensor | None) -> Any:
        return naive_recurrent_gla(q, k, v, g, initial_state=state, output_final_state=True)

    assert_same(ours, naive, (*qkv(length), log_decay(BATCH, length, HEADS, KEY), initial(with_state)))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("form", ["chunk_simple_gla", "fused_chunk_simple_gla", "fused_recurrent_simple_gla"])
def test_simple_gla(form: str, length: int, with_state: bool, assert_same: Callable[..., None]) -> None:
    """Attention with a scalar decay equals its recurrence in every form."""
    import fla.ops.simple_gla as ops
    from fla.ops.simple_gla.naive import naive_recurrent_simple_gla

    def ours(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: Tensor | None) -> Any:
        return getattr(ops, form)(q, k, v, g=g, initial_state=state, output_final_state=True)

    def naive(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: Tensor | None) -> Any:
        return naive_recurrent_simple_gla(q, k, v, g, initial_state=state, output_final_state=True)

    assert_same(ours, naive, (*qkv(length), log_decay(BATCH, length, HEADS), initial(with_state)))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    "form", ["chunk_retention", "fused_chunk_retention", "fused_recurrent_retention", "parallel_retention"]
)
def test_retention(form: str, length: int, assert_same: Callable[..., None]) -> None:
    """Retention equals its quadratic form."""
    import fla.ops.retention as ops
    from fla.ops.retention.naive import naive_retention

    def naive(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return naive_retention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)

    assert_same(lambda *inputs: getattr(ops, form)(*inputs)[0], naive, qkv(length))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("form", ["chunk_linear_attn", "fused_recurrent_linear_attn"])
def test_linear_attention(
    form: str, length: int, with_state: bool, normalize: bool, assert_same: Callable[..., None]
) -> None:
    """Linear attention, plain and normalised by the sum of keys, equals its recurrence."""
    import fla.ops.linear_attn as ops
    from fla.ops.linear_attn.naive import naive_recurrent_linear_attn

    q, k, v = qkv(length)
    inputs: list[Tensor | None] = [q.exp(), k.exp(), v, initial(with_state)]
    inputs.append(torch.rand(BATCH, 1, HEADS, KEY) if with_state and normalize else None)

    def call(function: Callable[..., Any], *tensors: Any) -> Any:
        q, k, v, state, sums = tensors
        start = (state, sums) if normalize and with_state else state
        o, last = function(q, k, v, initial_state=start, output_final_state=True, normalize=normalize)
        return (o, *last) if normalize else (o, last)

    assert_same(
        lambda *tensors: call(getattr(ops, form), *tensors),
        lambda *tensors: call(naive_recurrent_linear_attn, *tensors),
        inputs,
    )


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("form", ["chunk_delta_rule", "fused_recurrent_delta_rule"])
def test_delta_rule(form: str, length: int, with_state: bool, assert_same: Callable[..., None]) -> None:
    """The delta rule on float32, which FLA's own chunk form refuses, equals its recurrence."""
    import fla.ops.delta_rule as ops
    from fla.ops.delta_rule.naive import delta_rule_recurrence

    def ours(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, state: Tensor | None) -> Any:
        return getattr(ops, form)(q, k, v, beta, initial_state=state, output_final_state=True)

    def naive(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, state: Tensor | None) -> Any:
        return heads_first(delta_rule_recurrence)(q, k, v, beta, state=state)

    assert_same(ours, naive, (*qkv(length), torch.rand(BATCH, length, HEADS), initial(with_state)))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("form", ["chunk_gated_delta_rule", "fused_recurrent_gated_delta_rule"])
def test_gated_delta_rule(form: str, length: int, with_state: bool, assert_same: Callable[..., None]) -> None:
    """The gated delta rule equals its recurrence."""
    import fla.ops.gated_delta_rule as ops
    from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule

    def ours(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor | None) -> Any:
        return getattr(ops, form)(q, k, v, g=g, beta=beta, initial_state=state, output_final_state=True)

    def naive(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor | None) -> Any:
        return naive_recurrent_gated_delta_rule(q, k, v, beta, g, initial_state=state, output_final_state=True)

    decay, beta = log_decay(BATCH, length, HEADS), torch.rand(BATCH, length, HEADS)
    assert_same(ours, naive, (*qkv(length), decay, beta, initial(with_state)))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("steps", [2, 3])
def test_gated_delta_product(
    steps: int, gated: bool, length: int, with_state: bool, assert_same: Callable[..., None]
) -> None:
    """Products of Householder steps, of sizes up to 2, equal their recurrence, with and without a decay."""
    from fla.ops.gated_delta_product import chunk_gated_delta_product
    from fla.ops.gated_delta_product.naive import naive_recurrent_gated_delta_product

    def call(function: Callable[..., Any], *tensors: Any) -> Any:
        *tensors, state = tensors
        return function(*tensors, num_householder=steps, scale=0.25, initial_state=state, output_final_state=True)

    q = unit(BATCH, length, HEADS, KEY)
    _, k, v = qkv(steps * length)
    decay = log_decay(BATCH, length, HEADS) if gated else None
    inputs = (q, k, v, decay, 2 * torch.rand(BATCH, steps * length, HEADS), initial(with_state))
    assert_same(
        lambda *tensors: call(chunk_gated_delta_product, *tensors),
        lambda *tensors: call(naive_recurrent_gated_delta_product, *tensors),
        inputs,
    )


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("form", ["chunk_dplr_delta_rule", "fused_recurrent_dplr_delta_rule"])
@pytest.mark.filterwarnings("ignore:ChunkDeltaRuleFunction does not support float32")
def test_diagonal_plus_low_rank(form: str, length: int, with_state: bool, assert_same: Callable[..., None]) -> None:
    """The delta rule with a diagonal plus low rank transition, RWKV-7's, equals its recurrence."""
    import fla.ops.generalized_delta_rule as ops
    from fla.ops.generalized_delta_rule.dplr.naive import dplr_recurrence

    def ours(*tensors: Any) -> Any:
        *tensors, state = tensors
        return getattr(ops, form)(*tensors, initial_state=state, output_final_state=True)

    def naive(*tensors: Any) -> Any:
        *tensors, state = tensors
        return heads_first(dplr_recurrence)(*tensors, state=state)

    a = unit(BATCH, length, HEADS, KEY)
    inputs = (*qkv(length), a, -a * torch.rand_like(a), log_decay(BATCH, length, HEADS, KEY), initial(with_state))
    assert_same(ours, naive, inputs)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("form", ["chunk_kda", "fused_recurrent_kda"])
def test_kimi_delta_attention(form: str, length: int, with_state: bool, assert_same: Callable[..., None]) -> None:
    """The delta rule with a decay a channel equals its recurrence."""
    import fla.ops.kda as ops
    from fla.ops.kda.naive import naive_recurrent_kda

    def call(function: Callable[..., Any], *tensors: Any) -> Any:
        *tensors, state = tensors
        return function(*tensors, initial_state=state, output_final_state=True)

    decay, beta = log_decay(BATCH, length, HEADS, KEY), torch.rand(BATCH, length, HEADS)
    assert_same(
        lambda *tensors: call(getattr(ops, form), *tensors),
        lambda *tensors: call(naive_recurrent_kda, *tensors),
        (*qkv(length), decay, beta, initial(with_state)),
    )


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("form", ["chunk_hgrn", "fused_recurrent_hgrn"])
def test_hgrn(form: str, length: int, with_state: bool, assert_same: Callable[..., None]) -> None:
    """The elementwise gated recurrence equals its step by step form."""
    from fla.ops.hgrn import chunk, fused_recurrent
    from fla.ops.hgrn.naive import naive_recurrent_hgrn

    function = chunk.chunk_hgrn if form == "chunk_hgrn" else fused_recurrent.fused_recurrent_hgrn
    state = torch.randn(BATCH, KEY) if with_state else None
    inputs = (torch.randn(BATCH, length, KEY), log_decay(BATCH, length, KEY), state)
    assert_same(
        lambda x, g, state: function(x, g, initial_state=state, output_final_state=True),
        lambda x, g, state: naive_recurrent_hgrn(x, g, initial_state=state, output_final_state=True),
        inputs,
    )


@pytest.mark.parametrize("strength", [1.0, 60.0])
def test_strong_channel_decay(strength: float, assert_same: Callable[..., None]) -> None:
    """A decay of up to e^-60 a step, which overflows when split in two factors, still agrees with the recurrence."""
    from fla.ops.gla import chunk_gla
    from fla.ops.gla.naive import naive_recurrent_gla
    from fla.ops.kda import chunk_kda
    from fla.ops.kda.naive import naive_recurrent_kda

    decay, beta = -strength * torch.rand(BATCH, 100, HEADS, KEY), torch.rand(BATCH, 100, HEADS)
    decay[:, :20] = 0.0
    assert_same(lambda *x: chunk_gla(*x)[0], lambda *x: naive_recurrent_gla(*x)[0], (*qkv(100), decay))
    assert_same(lambda *x: chunk_kda(*x)[0], lambda *x: naive_recurrent_kda(*x)[0], (*qkv(100), decay, beta))
