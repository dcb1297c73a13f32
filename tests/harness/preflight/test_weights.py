"""Disturbed and random weights."""

import torch
from torch import nn

from harness.preflight.weights import disturb, randomize


def model() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64))
    nn.init.zeros_(made[0].weight)
    nn.init.constant_(made[0].bias, -30.0)
    made[1].weight.requires_grad_(False)
    return made


def test_every_weight_that_trains_moves_and_no_buffer_does() -> None:
    """Noise on weights is what training could do; noise on a buffer, such as a mask, would be a leak of our own."""
    before, after = model(), model()
    disturb(after)
    changed = {name for name, value in after.state_dict().items() if not value.equal(before.state_dict()[name])}
    assert changed == {"0.weight", "0.bias", "1.bias"}


def test_random_weights_forget_where_they_began() -> None:
    """A bias that kept a gate shut is gone; matrices keep a signal's size."""
    made = model()
    assert randomize(made, lambda: True)
    assert made[0].bias.abs().max() < 5
    assert abs(float(made[0].weight.detach().std()) - 1 / 8) < 0.01


def test_weights_that_overflow_go_part_of_the_way_or_stay() -> None:
    """The first share that is finite is kept; where none is, the weights are as they were."""
    made = model()
    asked: list[float] = []

    def finite() -> bool:
        asked.append(float(made[0].bias.detach().mean()))
        return len(asked) == 2

    assert randomize(made, finite)
    assert -25 < asked[1] < -15
    other = model()
    assert not randomize(other, lambda: False)
    assert torch.equal(other[0].weight, model()[0].weight)
