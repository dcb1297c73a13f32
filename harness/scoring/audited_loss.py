"""The two passes behind a validation loss: all windows, in a random order; then some again, of another process.

A model is what harness.scoring.logits asks.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from harness.scoring.audit import Comparison, Differences, Fingerprints, Plan, changed_inputs
from harness.scoring.loss import Losses, ValidationLoss, losses_of, validation_loss


@dataclass(frozen=True, slots=True)
class Windows:
    """What is asked, and in batches of which shape."""

    tokens_WT: np.ndarray
    """(W, T + 1)."""
    plan: Plan
    batch_size: int
    device: str
    dtype: str

    @property
    def block_size(self) -> int:
        """T."""
        return int(self.tokens_WT.shape[1]) - 1

    @property
    def settings(self) -> tuple[int, str, str]:
        """Batch size, device, dtype; no batch is larger than all windows."""
        return min(self.batch_size, len(self.tokens_WT)), self.device, self.dtype


@dataclass(slots=True)
class FirstAnswers:
    """Fingerprints of the windows that will be asked again."""

    wanted: set[tuple[int, int]]
    """(window, length)."""
    fingerprints: Fingerprints
    known: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)
    """By (window, length): (length, K)."""

    def keep(self, windows: np.ndarray, logits_BTV: torch.Tensor, losses: Losses) -> None:
        """Keep those of a batch that will be compared."""
        length = logits_BTV.shape[1]
        rows = [row for row, window in enumerate(windows.tolist()) if (window, length) in self.wanted]
        if rows:
            found_BTK = self.fingerprints.of(logits_BTV, losses)
            self.known |= {(int(windows[row]), length): found_BTK[row].clone() for row in rows}

    @property
    def scale(self) -> float:
        """The largest logit, at least 1."""
        return max(1.0, *(float(found_TK[:, 1:].abs().max()) for found_TK in self.known.values()))


def first_pass(model: Any, windows: Windows) -> tuple[ValidationLoss, FirstAnswers]:
    """The loss over all windows, and what is to be compared. Raises NotScorable for logits that are no score."""
    plan, tokens_WT = windows.plan, windows.tokens_WT
    wanted = {(ask.window, ask.length) for ask in plan.again}
    answers = FirstAnswers(wanted, Fingerprints(np.random.default_rng(plan.seed + 1)))
    loss = validation_loss(model, tokens_WT, *windows.settings, plan.order_W, answers.keep)
    for length in dict.fromkeys(length for _, length in plan.cuts):
        cut = np.array([window for window, other in plan.cuts if other == length])
        inputs, targets = tokens_WT[cut, :length], tokens_WT[cut, 1 : length + 1]
        for numbers, logits_BTV, losses in losses_of(model, inputs, targets, *windows.settings):
            answers.keep(cut[numbers], logits_BTV, losses)
    return loss, answers


def second_pass(model: Any, windows: Windows, first: FirstAnswers) -> Comparison:
    """Ask again, and compare. Raises NotScorable for logits that are misshapen or not finite."""
    plan, tokens_WT = windows.plan, windows.tokens_WT
    repeats, probes = Differences(), Differences()
    for length in sorted({ask.length for ask in plan.again}):
        asks = [ask for ask in plan.again if ask.length == length]
        inputs = changed_inputs(tokens_WT, asks)
        targets = np.stack([tokens_WT[ask.window, 1 : length + 1] for ask in asks])  # of the window as it was
        for numbers, logits_BTV, losses in losses_of(model, inputs, targets, *windows.settings):
            found_BTK = first.fingerprints.of(logits_BTV, losses)
            for number, found_TK in zip(numbers, found_BTK, strict=True):
                ask = asks[number]
                probed = ask.start < length
                change_TK = (found_TK - first.known[ask.window, length])[: ask.start]
                (probes if probed else repeats).add(change_TK, probed)
    return Comparison(plan.seed, repeats, probes, first.scale, windows.dtype)
