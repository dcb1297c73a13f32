"""Weights under which every path of a model matters: an untrained model hides what begins at zero or behind a gate.

Buffers stay as they are: training does not move them, and a mask with noise in it would be a leak of our own making.
"""

import math
from collections.abc import Callable
from typing import Any

import torch

DISTURBANCE = 0.02
"""Standard deviation of what is added to every weight."""

SHARES = (1.0, 0.3, 0.1)
"""How far towards random weights; the first at which the logits are finite."""


def trainable(model: Any) -> list[torch.nn.Parameter]:
    """The weights that a training moves."""
    return [weight for weight in model.parameters() if weight.requires_grad]


@torch.no_grad()
def disturb(model: Any) -> None:
    """Add a little noise to every weight, in place: a model as it is after some steps of training."""
    for weight in trainable(model):
        weight.add_(torch.randn_like(weight), alpha=DISTURBANCE)


@torch.no_grad()
def randomize(model: Any, finite: Callable[[], bool]) -> bool:
    """Forget how the weights began, in place, so that no gate stays closed: as any training could leave them.

    Matrices are scaled by their inputs, vectors are standard normal. A recurrence may overflow with such weights; it
    then goes only part of the way, and False says that not even that was `finite`, with the weights as they were.
    """
    near = [weight.clone() for weight in trainable(model)]
    far = [torch.randn_like(weight) * _deviation(weight) for weight in near]
    for share in (*SHARES, 0.0):
        for weight, start, end in zip(trainable(model), near, far, strict=True):
            weight.copy_(start + share * (end - start))
        if share and finite():
            return True
    return False


def _deviation(weight: torch.Tensor) -> float:
    return 1.0 if weight.dim() < 2 else 1.0 / math.sqrt(weight[0].numel())
