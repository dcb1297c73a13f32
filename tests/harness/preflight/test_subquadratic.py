"""How cost grows with the length, on drop-in mechanisms and by arithmetic."""

from collections.abc import Callable

import pytest

from harness.preflight.found import CheckFailed
from harness.preflight.subject import Subject
from harness.preflight.subquadratic import Cost, bars, check_cost, fit

Make = Callable[..., Subject]


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0])
def test_the_exponent_of_a_power_is_that_power(power: float) -> None:
    """The slope is that of the longest lengths: what short ones cost does not matter."""
    costs = [Cost(tokens, int(1000 * tokens**power), 7 * tokens) for tokens in (1024, 2048, 4096)]
    assert fit([Cost(512, 10**12, 10**12), *costs], "operations") == pytest.approx(power, abs=1e-3)
    assert fit(costs, "bytes") == pytest.approx(1.0)


def test_bars_are_level_for_a_line_and_stairs_for_a_square() -> None:
    """Each as high as its share of the largest."""
    assert bars([3.0, 3.0, 3.0]) == "███"
    assert bars([1.0, 2.0, 4.0, 8.0]) == "▁▂▄█"
    assert bars([0.0, 1.0]) == "▁█"


@pytest.mark.parametrize("key", ["mha", "mla"])
def test_softmax_over_everything_is_refused(subject: Make, key: str) -> None:
    """It comes out near 2; the untouched script is only measured."""
    with pytest.raises(CheckFailed, match=r"this task allows T\^1.4 at most") as refused:
        check_cost(subject(key), 1.4)
    assert refused.value.figures["exponents"]["operations"] > 1.8
    found = check_cost(subject(None), 1.4, reference=True)
    assert found.figures["exponents"]["operations"] > 1.8


@pytest.mark.parametrize("key", ["linear", "local", "sparse", "nsa"])
def test_windows_and_recurrences_come_out_linear(subject: Make, key: str) -> None:
    """Operations and memory grow with the length, also where tables are as long as block_size."""
    found = check_cost(subject(key), 1.4)
    assert found.figures["exponents"]["operations"] < 1.1
    assert found.figures["exponents"]["bytes"] < 1.4
    assert found.figures["dense_share"] < 0.35


def test_the_mlp_of_the_script_does_not_dilute_the_cost(subject: Make) -> None:
    """However wide the model, its own MLPs are no part of what grows."""
    with pytest.raises(CheckFailed) as refused:
        check_cost(subject("mha", n_embd=128), 1.4)
    assert refused.value.figures["exponents"]["operations"] > 1.8
