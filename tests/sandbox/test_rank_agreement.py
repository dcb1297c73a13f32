"""sandbox/rank_agreement.py: whether a short training ranks as a long one does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.rank_agreement import kendall_tau, pairs

LOSSES = st.lists(st.floats(1, 10, allow_subnormal=False), min_size=2, max_size=6, unique=True)


@given(LOSSES)
def test_the_same_order_is_one_and_its_reverse_minus_one(losses: list[float]) -> None:
    """Losses that rise in the order of the long training agree wholly; those that fall disagree wholly."""
    rising = {str(number): [loss] for number, loss in enumerate(sorted(losses))}
    falling = {str(number): [loss] for number, loss in enumerate(sorted(losses, reverse=True))}
    assert kendall_tau(pairs(rising)) == 1
    assert kendall_tau(pairs(falling)) == -1


def test_one_pair_turned_round_of_six() -> None:
    """Of four mechanisms with two neighbours exchanged, five pairs of six stand in order."""
    found = pairs({"a": [1.0], "b": [3.0], "c": [2.0], "d": [4.0]})
    assert kendall_tau(found) == pytest.approx((5 - 1) / 6)
    assert [(pair.better, pair.worse) for pair in found if pair.gap < 0] == [("b", "c")]


def test_noise_is_pooled_over_the_mechanisms() -> None:
    """Two seeds of three mechanisms have three degrees of freedom; t is 3.182 at 95 % there."""
    scatter = 0.1 * math.sqrt(2)  # two seeds 0.2 apart: a deviation of 0.1 sqrt(2) each, and an error of the gap so too
    for gap, certain in ((3.18 * scatter, False), (3.19 * scatter, True), (-3.19 * scatter, True)):
        losses = {"a": [1.9, 2.1], "b": [1.9 + gap, 2.1 + gap], "c": [9.9, 10.1]}
        pair = pairs(losses)[0]
        assert pair.gap == pytest.approx(gap)
        assert pair.certain is certain


def test_one_seed_proves_no_order() -> None:
    """Without a second seed nobody knows what another seed would move."""
    assert not any(pair.certain for pair in pairs({"a": [1.0], "b": [9.0]}))
