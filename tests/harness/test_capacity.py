"""Counting what weights and buffers hold."""

from collections.abc import Callable

import pytest
import torch

from harness.capacity import numbers, stored, strange

WEIGHT = torch.randn(10, 10)
LATER = torch.ones(64, 64).triu(1).bool()
CASES: list[tuple[str, Callable[[], list[torch.Tensor]], int]] = [
    ("twice", lambda: [WEIGHT, WEIGHT], 100),
    ("a view beside the whole", lambda: [WEIGHT, WEIGHT[:5]], 100),
    ("a view alone", lambda: [WEIGHT[:5]], 50),
    ("an expanded one", lambda: [torch.randn(1).expand(10**12)], 1),
    ("pieces of one flat memory", lambda: list(torch.nn.LSTM(3, 4).state_dict().values()), 4 * 4 * (3 + 4 + 2)),
    ("a causal mask of bools", lambda: [torch.ones(64, 64).tril().bool()], 64 * 64 // 32),
    ("a causal mask of floats", lambda: [torch.ones(64, 64).tril()], 64 * 64 // 32),
    (
        "a causal mask of infinities",
        lambda: [torch.zeros(64, 64).masked_fill(torch.ones(64, 64).triu(1) > 0, -1e999)],
        128,
    ),
    ("a table of positions", lambda: [torch.arange(64)], 64 * 6 // 32),
    ("a table of large integers", lambda: [torch.tensor([-(2**63), 2**63 - 1])], 4),
    ("drawn features", lambda: [torch.randn(64, 64)], 64 * 64),
    ("half precision", lambda: [torch.randn(64).bfloat16()], 64),
    ("doubles", lambda: [torch.randn(64).double()], 128),
    ("complex numbers", lambda: [torch.randn(64, dtype=torch.complex64)], 128),
    ("a type that nothing is known of", lambda: [torch.zeros(64).to(torch.float8_e4m3fn)], 64),
    ("a parameter that begins with ones", lambda: [torch.nn.Parameter(torch.ones(64))], 64),
    ("not a number among others", lambda: [torch.tensor([float("nan"), 1.0, 2.0])], 3),
    ("nothing", lambda: [torch.empty(0)], 0),
    ("no values", lambda: [torch.ones(8, 8, device="meta")], 64),
]


@pytest.mark.parametrize(("make", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_numbers_are_counted_by_the_bits_that_are_held(make: Callable[[], list[torch.Tensor]], expected: int) -> None:
    """What is shared counts once, a mask one bit an entry, and all that can be trained in full."""
    assert numbers(make()) == expected


def test_entries_are_counted_under_each_name() -> None:
    """Two names of one weight are two entries: how memory is shared differs between devices, names do not."""
    assert stored({"wte": WEIGHT, "lm_head": WEIGHT, "mask": torch.ones(4, dtype=torch.bool)}) == 204


def test_what_is_no_dense_tensor_is_named() -> None:
    """Extra state and sparse tensors cannot be counted."""
    weights = {"w": WEIGHT, "blocks.0._extra_state": {"x": 1}, "s": torch.eye(3).to_sparse()}
    assert strange(weights) == ["blocks.0._extra_state", "s"]
