"""A curve in one line of text, drawn with the eight block characters."""

import math
from collections.abc import Sequence
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
MISSING = "×"
"""Stands where a value is infinite or not a number."""


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Draw `values` in at most `width` characters, each the mean of its share; the lowest and highest span all bars.

    >>> sparkline([3, 1.6, 1, 1])
    '█▃▁▁'
    """
    heights = [sum(value / len(share) for value in share) for share in _shares(values, width)]
    finite = [height for height in heights if math.isfinite(height)]
    if not finite:
        return MISSING * len(heights)
    low, high = min(finite), max(finite)
    return "".join(_bar(height, low, high) for height in heights)


def _shares(values: Sequence[float], width: int) -> list[Sequence[float]]:
    """Cut into at most `width` runs of nearly equal length, none empty."""
    count = min(width, len(values))
    cuts = [index * len(values) // count for index in range(count + 1)] if count else []
    return [values[start:stop] for start, stop in pairwise(cuts)]


def _bar(height: float, low: float, high: float) -> str:
    if not math.isfinite(height):
        return MISSING
    scale = max(abs(low), abs(high), math.ulp(0))  # so that no difference overflows
    span = high / scale - low / scale
    share = (height / scale - low / scale) / span if span else 0.5
    return BARS[min(int(share * len(BARS)), len(BARS) - 1)]
