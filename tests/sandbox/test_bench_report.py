"""What the tables of `linbench bench` say of made-up measurements."""

import pytest

from harness.bench.comparison import LossRow
from sandbox.bench_report import _loss_rows


@pytest.mark.parametrize(("halves", "noise"), [((1.75,), "-0.25000"), (None, "-")])
def test_losses_stand_beside_the_noise(halves: tuple[float, ...] | None, noise: str) -> None:
    """The script minus the plain loop, and the plain loop in halves minus the plain loop where it was trained."""
    row = LossRow("mha", (300,), (2.0,), (2.5,), halves)
    assert _loss_rows(7, row) == [("mha", "7", "300", "2.00000", "2.50000", "+0.50000", noise)]
