"""Validation loss: mean cross-entropy in nats a token over non-overlapping windows, from logits alone."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from harness.precision import autocast


class NotScorable(Exception):
    """The model's logits are not what a language model gives."""


@dataclass(frozen=True, slots=True)
class ValidationLoss:
    """The loss and exactly which tokens it is over."""

    loss: float
    """Nats a token."""
    tokens: int
    sha256: str
    """Of the windows' uint16 tokens, first inputs included."""


def windows(tokens: np.ndarray, block_size: int, most: int | None = None) -> np.ndarray:
    """Cut (N,) tokens into windows of block_size inputs and the target of the last: (W, block_size + 1).

    Neighbours share one token, which is the target of one and an input of the next; a rest that fills no window is
    left out.
    """
    count = (len(tokens) - 1) // block_size
    if count < 1:
        raise ValueError(f"{len(tokens)} tokens hold no window of {block_size + 1}")
    starts = np.arange(count if most is None else min(count, most))[:, None] * block_size
    return tokens[starts + np.arange(block_size + 1)[None, :]]


@torch.no_grad()
def validation_loss(
    model: Any, tokens: np.ndarray, block_size: int, batch_size: int, device: str, dtype: str, most: int | None = None
) -> ValidationLoss:
    """Score `model(idx) -> (logits, None)` on (N,) tokens. Raises NotScorable for logits that are NaN or misshapen."""
    chosen = windows(tokens, block_size, most)
    total = 0.0
    model.eval()
    for first in range(0, len(chosen), batch_size):
        batch = torch.from_numpy(chosen[first : first + batch_size].astype(np.int64)).to(device)
        with autocast(device, dtype):
            logits_BTV = model(batch[:, :-1])[0]
        total += _summed_loss(logits_BTV, batch[:, 1:])
    predicted = len(chosen) * block_size
    return ValidationLoss(total / predicted, predicted, hashlib.sha256(chosen.astype("<u2").tobytes()).hexdigest())


def _summed_loss(logits_BTV: torch.Tensor, targets_BT: torch.Tensor) -> float:
    if logits_BTV.dim() != 3 or logits_BTV.shape[:2] != targets_BT.shape:
        raise NotScorable(f"the logits have the shape {tuple(logits_BTV.shape)} for targets {tuple(targets_BT.shape)}")
    if logits_BTV.shape[2] <= int(targets_BT.max()):
        raise NotScorable(f"there are {logits_BTV.shape[2]} logits a position for token {int(targets_BT.max())}")
    if not torch.isfinite(logits_BTV).all():
        raise NotScorable("some logits are not finite")
    losses = F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten(), reduction="none")
    return float(losses.double().sum())
