"""Adds up the gradients of a tensor that several linear maps of a mechanism read, in one pass over all of them.

Queries, keys, values and gates all read the same norm, and autograd adds two gradients at a time and writes each sum.
So each reader gets an alias with a gradient of its own. The forward pass before tells how many are needed; the first
one makes as many as there can be, so that a resumed training rounds as it would have.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.fused.functions import PRECISIONS, is_plain, on_kernels
from harness.fused.kernels import sums

FEWEST = 2
"""Readers that get aliases. Two gain nothing, but are added up as they are while nobody knows how many there are."""


def share(mechanisms: Iterable[nn.Module]) -> None:
    """Give the linear maps of each mechanism aliases of what they read, by hooks; called once for a network."""
    hooked: set[nn.Module] = set()
    for mechanism in mechanisms:
        maps = [module for module in mechanism.modules() if type(module) is nn.Linear and module not in hooked]
        if len(maps) < FEWEST:
            continue
        hooked.update(maps)
        readers = Readers()
        for each in maps:
            each.register_forward_pre_hook(readers.read)
        mechanism.register_forward_pre_hook(readers.begin)
        mechanism.register_forward_hook(readers.end, always_call=True)


@dataclass(slots=True)
class Read:
    """A tensor that is read, and how often it was."""

    x: Tensor
    """Kept, so that its id is not used again."""
    aliases: list[Tensor]
    times: int = 0


class Readers:
    """What the linear maps of a mechanism read in one forward pass; nothing outside of it."""

    def __init__(self) -> None:
        self.inside = False
        self.reads: dict[tuple[int, int], Read] = {}
        """By id and version: a tensor that was changed in place is another one. In the order of their first times."""
        self.times: list[int] = []
        """Of each read of the last forward pass that had any."""

    def __deepcopy__(self, memo: Any) -> "Readers":
        """Those of a copied mechanism, or of a map that is copied in the middle of a forward pass: none so far."""
        return Readers()

    def begin(self, *_: Any) -> None:
        """The mechanism starts."""
        self.inside = True

    def end(self, *_: Any) -> None:
        """The mechanism is done, or has failed: hold on to no tensor."""
        self.times = [read.times for read in self.reads.values()] or self.times
        self.inside, self.reads = False, {}

    def read(self, reader: nn.Module, inputs: tuple[Any, ...]) -> Tensor | None:
        """An alias in the place of x; None, which leaves x, where nothing is gained by one."""
        if not self.inside or len(inputs) != 1 or not _can_share(inputs[0]):
            return None
        (x,) = inputs
        key = id(x), x._version
        if key not in self.reads:
            self.reads[key] = Read(x, self._aliases(x))
        read = self.reads[key]
        read.times += 1
        return read.aliases.pop() if read.aliases else None

    def _aliases(self, x: Tensor) -> list[Tensor]:
        place = len(self.reads)
        times = self.times[place] if place < len(self.times) else sums.ADDENDS
        return list(Share.apply(x, min(times, sums.ADDENDS))) if times >= FEWEST else []


def _can_share(x: Any) -> bool:
    if type(x) is not Tensor or x.dtype not in PRECISIONS:
        return False
    return torch.is_grad_enabled() and on_kernels(x) and x.requires_grad


class Share(torch.autograd.Function):
    """x, count -> so many aliases of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tuple(x.view_as(x) for _ in range(count))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None]:
        found = [gradient for gradient in gradients if gradient is not None]
        if len(found) < 2:
            return (found[0] if found else None), None
        if all(map(is_plain, found)):
            return sums.add_up([each.contiguous() for each in found]), None
        return sum(found[1:], found[0]), None
