"""Sparklines: shape, extremes, and values that cannot be drawn."""

import math

from hypothesis import given
from hypothesis import strategies as st

from sandbox.sparkline import BARS, MISSING, sparkline


def test_a_falling_curve_falls() -> None:
    """The highest value takes the highest bar, the lowest the lowest."""
    assert sparkline([8, 7, 6, 5, 4, 3, 2, 1]) == "█▇▆▅▄▃▂▁"


def test_long_curves_are_averaged() -> None:
    """More values than characters share them evenly."""
    assert sparkline([1, 3, 10, 12], width=2) == "▁█"
    assert len(sparkline(range(1000), width=40)) == 40


def test_flat_and_empty_curves() -> None:
    """A flat curve lies in the middle, an empty one is empty."""
    assert sparkline([2.0, 2.0]) == "▅▅"
    assert sparkline([]) == ""


def test_values_that_are_not_finite_are_marked() -> None:
    """A diverged step shows as such and does not flatten the rest."""
    assert sparkline([1, math.nan, math.inf, 2]) == f"▁{MISSING}{MISSING}█"


@given(st.lists(st.floats()), st.integers(min_value=1, max_value=80))
def test_any_floats_can_be_drawn(values: list[float], width: int) -> None:
    """Whatever the values, one character each comes out, at most `width` of them."""
    line = sparkline(values, width)
    assert len(line) == min(len(values), width)
    assert set(line) <= {*BARS, MISSING}
