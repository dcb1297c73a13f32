"""Whether two results can be told apart: Student's table, Welch's interval, a stated deviation, and neither."""

import random

import pytest

from sandbox.noise import distinguishable, t_probability, welch_confidence


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706205), (2, 4.302653), (3, 3.182446), (10, 2.228139), (30, 2.042272)]
)
def test_t_probability_agrees_with_students_table(freedom: float, quantile: float) -> None:
    """The two-sided 95 % quantiles of the printed tables come out at 0.95."""
    assert t_probability(quantile, freedom) == pytest.approx(0.95, abs=1e-7)


def test_welch_agrees_with_a_worked_example() -> None:
    """Two samples of unequal spread with t = 2.224 at 1.058 degrees of freedom, by hand: far from told apart."""
    a, b = [1.0, 3.0], [5.0, 5.2]
    freedom = (1.0 + 0.01) ** 2 / (1.0**2 + 0.01**2)
    t = 3.1 / 1.01**0.5
    assert welch_confidence(a, b) == pytest.approx(t_probability(t, freedom))
    assert distinguishable(a, b, None) is False
    assert distinguishable([1.0, 1.1, 1.2], [5.0, 5.2, 5.1], None) is True


def test_samples_of_one_population_are_told_apart_about_once_in_twenty() -> None:
    """The interval at 95 % is wrong in at most about 5 % of cases."""
    dice = random.Random(1)
    pairs = [[[dice.gauss(2, 0.03) for _ in range(3)] for _ in range(2)] for _ in range(400)]
    wrong = sum(bool(distinguishable(a, b, None)) for a, b in pairs)
    assert wrong <= 32


def test_one_seed_needs_a_stated_deviation() -> None:
    """With a single run on a side the stated noise decides, over both runs' means; without it nothing does."""
    assert distinguishable([2.0], [2.05], None) is None
    assert distinguishable([2.0], [2.05], 0.03) is False
    assert distinguishable([2.0], [2.10], 0.03) is True
    assert distinguishable([2.0, 2.0, 2.0, 2.0], [2.07], 0.03) is True
    assert distinguishable([2.0], [2.07], 0.03) is False


def test_equal_runs_are_never_told_apart_and_exact_ones_always() -> None:
    """Where no seed moves anything, any difference is one, and none is none."""
    assert distinguishable([2.0, 2.0], [2.0, 2.0], None) is False
    assert distinguishable([2.0, 2.0], [2.1, 2.1], None) is True
