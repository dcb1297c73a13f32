"""The whole red-team suite, one test an attempt, as `linbench selftest` runs it."""

from pathlib import Path

import pytest

from sandbox.selftest.attempt import Attempt, attempts
from sandbox.selftest.run import run

ATTEMPTS = attempts()
VARIED = [[pytest.mark.slow] if attempt.like else [] for attempt in ATTEMPTS]
PARAMETERS = [pytest.param(one, id=one.name, marks=marks) for one, marks in zip(ATTEMPTS, VARIED, strict=True)]


@pytest.mark.parametrize("attempt", PARAMETERS)
def test_it_is_stopped_by_its_layer(
    attempt: Attempt, isolation: str, data_folder: Path, pytestconfig: pytest.Config
) -> None:
    """The layer that must stop the attempt does so, and nothing comes of it; an honest edit passes every layer."""
    if attempt.like and not attempt.only_edits and "slow" not in pytestconfig.getoption("markexpr"):
        pytest.skip(f"a variation of {attempt.like}; `make selftest` tries all, and so does -m slow")
    verdict = run(attempt, isolation, data_folder)
    assert verdict.passed, (verdict.stopped_by, verdict.said)


def test_there_are_enough_of_them() -> None:
    """Every layer has attempts of its own, at least fifty together, and honest edits are among them."""
    layers = [attempt.layer for attempt in ATTEMPTS]
    assert set(layers) == {"guards", "policy", "check", "isolation", "scoring", "ledger", "nothing"}
    assert len(layers) - layers.count("nothing") >= 50


def test_every_variation_is_of_an_attempt_that_a_quick_run_tries() -> None:
    """What a quick run leaves out is stopped by the same layer as what it tries."""
    by_name = {attempt.name: attempt for attempt in ATTEMPTS}
    for attempt in ATTEMPTS:
        if attempt.like:
            assert by_name[attempt.like].like is None
            assert by_name[attempt.like].layer == attempt.layer or attempt.layer in ("scoring", "check", "isolation")
