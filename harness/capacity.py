"""How many numbers a model's weights and buffers hold: what a task limits, in the preflight and in a checkpoint alike.

Buffers count too, for a table that is drawn once and frozen is room that was not paid for; only those that a
checkpoint keeps, since code can make any other again. They count by the bits that they hold: a causal mask is one bit
an entry, whatever type it is stored in, so that a mask is no alarm and a table hidden in one gains nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

BITS = 32
"""Of one number, as a parameter is trained; one in half precision counts as much."""

_FLOATS = {torch.float64, torch.float32, torch.float16, torch.bfloat16}
_INTEGERS = {torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8}


def strange(weights: Mapping[str, Any]) -> list[str]:
    """The names of what is no dense tensor: extra state could hold anything, and is not counted."""
    dense = (isinstance(found, torch.Tensor) and found.layout is torch.strided for found in weights.values())
    return [name for name, is_dense in zip(weights, dense, strict=True) if not is_dense]


def stored(weights: Mapping[str, torch.Tensor]) -> int:
    """Entries of all tensors, under each of their names: what two builds of one model have in common."""
    return sum(tensor.numel() for tensor in weights.values())


def numbers(tensors: Iterable[torch.Tensor]) -> int:
    """The numbers in some tensors; one that is there twice, or a view of another, counts once.

    A tensor on the meta device has no values and counts as if it needed every bit that its type has.
    """
    shared: dict[int, tuple[int, int]] = {}
    for tensor in tensors:
        storage = tensor.untyped_storage()
        key, most = storage._cdata, -(-storage.nbytes() // min(4, tensor.element_size()))
        before = shared.get(key, (0, most))[0]
        shared[key] = before + _numbers(tensor), most
    return sum(min(found, most) for found, most in shared.values())


def _numbers(tensor: torch.Tensor) -> int:
    entries = tensor.numel()
    if isinstance(tensor, torch.nn.Parameter) or not entries or overlaps(tensor):
        return entries * _whole(tensor)
    bits = _bits(tensor)
    return entries * _whole(tensor) if bits is None else -(-entries * bits // BITS)


def overlaps(tensor: torch.Tensor) -> bool:
    """Whether it has more entries than its memory, as an expanded one has; it may be far too large to be looked at."""
    return tensor.nbytes > tensor.untyped_storage().nbytes()


def _whole(tensor: torch.Tensor) -> int:
    """Numbers an entry: two for complex ones and doubles."""
    return max(1, 8 * tensor.element_size() // BITS)


def _bits(tensor: torch.Tensor) -> int | None:
    """Bits an entry where they are fewer than a number's; None where they are not, or cannot be told."""
    if tensor.dtype == torch.bool:
        return 1
    if tensor.is_meta or tensor.dtype not in _FLOATS | _INTEGERS:
        return None
    low, high = tensor.aminmax()
    if tensor.dtype in _INTEGERS:
        return (int(high) - int(low)).bit_length()
    return 1 if bool(((tensor == low) | (tensor == high)).all()) else None
