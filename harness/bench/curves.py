"""Losses by tokens spent, as `python -m harness.bench.curve REQUEST` answers them. Torch-free."""

import msgspec

PARTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)
"""Of a training, after each of which the loss on held-out text is measured."""


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training, some way on."""

    step: int
    tokens: int
    loss: float
    """Mean cross-entropy on held-out text."""
    seconds: float
    """Of training since the first steps, in which kernels are compiled."""


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One mechanism with one seed."""

    mechanism: str
    seed: int
    points: tuple[Point, ...]


def steps_of(max_iters: int) -> tuple[int, ...]:
    """After which optimizer steps a training of so many is measured.

    >>> steps_of(80)
    (5, 10, 20, 40, 60, 80)
    """
    return tuple(sorted({max(1, round(max_iters * part)) for part in PARTS}))
