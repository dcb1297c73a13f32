"""Operations and bytes, against counts by hand."""

import gc
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from harness.preflight.operations import OperationCounter


@pytest.mark.parametrize(
    ("program", "operations"),
    [
        (lambda x: x @ x, 2 * 8**3),
        (lambda x: x + 1, 64),
        (lambda x: x.sum(), 64),
        (lambda x: x.T.reshape(4, 16)[0], 64),
        (lambda x: x.view(4, 16).mT[0], 0),
        (lambda x: x.cumsum(0), 64),
        (lambda x: x[torch.tensor([0, 1])], 16),
        (lambda x: F.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None]), 4 * 8**3),
        (lambda x: torch.einsum("ab,cb->ac", x, x), 2 * 8**3),
    ],
    ids=["product", "sum", "reduction", "copy", "views", "scan", "lookup", "attention", "einsum"],
)
def test_operations_are_counted_as_by_hand(program: Callable[[torch.Tensor], object], operations: int) -> None:
    """Products two a term, the rest one an element, lookups what they pick, views none."""
    x = torch.ones(8, 8)
    with OperationCounter() as counter:
        program(x)
    assert counter.operations in (operations, operations + 2)  # an index tensor of two elements is made as well


def test_a_write_into_a_large_table_costs_what_is_written() -> None:
    """A loop that fills an output position by position is linear, not quadratic."""
    table = torch.zeros(1000, 4)
    place, row = torch.tensor([7]), torch.ones(1, 4)
    with OperationCounter() as counter:
        table[place] = row
        table[3] = 1.0
    assert counter.operations <= 20


def test_bytes_are_those_that_live() -> None:
    """The peak holds what lived at once; what is kept for the backward pass lives, what was dropped does not."""
    x = torch.ones(1000, requires_grad=True)
    with OperationCounter() as counter:
        for _ in range(10):
            torch.zeros(1000).add_(1)
        gc.collect()
        assert (counter.live, counter.peak) == (0, 4000)
        y = x.exp().exp().exp()
        assert counter.live == 3 * 4000
        del y
        assert counter.live == 0
