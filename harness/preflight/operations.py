"""Counts what a model does as it does it: operations and bytes, op by op, on any device and for any code on torch.

Products count as torch's own formulas have it, everything else one operation an element that it makes or reads; views
are free. Bytes are those of all living tensors, what is kept for the backward pass included. Kernels of Triton are not
seen.
"""

import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

LOOKUPS = {"embedding", "index", "index_select", "gather", "take", "select", "index_put", "index_copy", "index_add"}
LOOKUPS |= {"scatter", "scatter_add", "scatter_reduce", "masked_scatter", "_index_put_impl", "slice_scatter"}
"""These touch as many elements as they pick or put, however long the table is."""

FREE = {"_unsafe_view", "_reshape_alias", "detach", "lift_fresh", "empty", "empty_like", "new_empty", "empty_strided"}
"""Neither computes nor copies, though it is not marked as a view."""

ATTENTION = {"_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_fused_attention_overrideable"}
"""Fused attention for which torch's registry has no formula."""


class OperationCounter(TorchDispatchMode):
    """While it is entered: `operations` so far, `live` bytes and their `peak`."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if not _is_view(function):
            self.operations += _operations(function, args, kwargs or {}, result)
            for tensor in _tensors((result,)):
                self._hold(tensor.untyped_storage())
        return result

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def _is_view(function: Any) -> bool:
    """Whether the op only looks at what is there: it returns an alias that it does not write to."""
    aliases = [returned.alias_info for returned in function._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _operations(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    packet = function._overloadpacket
    if packet in flop_registry:
        return int(flop_registry[packet](*args, **kwargs, out_val=result))
    name = packet.__name__.rstrip("_")
    if name in ATTENTION:
        return int(sdpa_flop_count(*(tuple(tensor.shape) for tensor in args[:3])))
    sizes = [tensor.numel() for tensor in _tensors((result, *args, *kwargs.values()))]
    if name in FREE:
        return 0
    if name in LOOKUPS:  # the table is the first argument, and the result of those that change it
        table = args[0].numel() if args and isinstance(args[0], torch.Tensor) else 0
        sizes = [size for size in sizes if size != table] or [min(sizes, default=0)]
    return max(sizes, default=0)


def _tensors(values: Sequence[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
