"""Cost in the sequence length, counted in floating-point operations on the meta device."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

LENGTHS = (2048, 4096, 8192)


def mixing_operations(module: nn.Module, T: int) -> int:
    """Operations of batched products, which mix positions; projections are plain products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(torch.empty(1, T, 32, device="meta"))
    return int(counter.get_flop_counts()["Global"][torch.ops.aten.bmm])


@pytest.mark.parametrize(
    ("key", "exponent"),
    [("mha", 2), ("mqa", 2), ("gqa", 2), ("mla", 2), ("local", 1), ("sparse", 1), ("linear", 1), ("based", 1)],
)
def test_operations_grow_as_documented(build: Callable[..., nn.Module], key: str, exponent: int) -> None:
    """Doubling the length multiplies the operations by two for windows and recurrences, by four for dense attention."""
    module = build(key, sizes={"block_size": LENGTHS[-1]}).to("meta")
    counts = [mixing_operations(module, T) for T in LENGTHS]
    for shorter, longer in itertools.pairwise(counts):
        assert math.log2(longer / shorter) == pytest.approx(exponent, abs=0.02)


@pytest.mark.parametrize(("key", "keys_read"), [("local", 2 * 1024), ("sparse", 7 * 32)])
def test_a_query_meets_only_its_window(build: Callable[..., nn.Module], key: str, keys_read: int) -> None:
    """Products with keys and with values cost 2 C operations for each of the keys that a block of queries reads."""
    T, C = LENGTHS[-1], 32
    module = build(key, sizes={"block_size": T}).to("meta")
    assert mixing_operations(module, T) == 2 * 2 * T * C * keys_read
