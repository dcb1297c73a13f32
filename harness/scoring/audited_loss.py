"""The validation loss, believed only after the audit: windows in a random order by one process, an audit by another."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from harness.scoring.audit import Again, Comparison, Differences, Fingerprints, Plan, changed_inputs
from harness.scoring.loss import Losses, ValidationLoss, losses_of, validation_loss

Known = dict[tuple[int, int], torch.Tensor]
"""First answers by (window, length)."""


def audited_loss(
    first: Any, second: Any, windows_WT: np.ndarray, asked: Plan, batch_size: int, device: str, dtype: str
) -> tuple[ValidationLoss, Comparison]:
    """Score windows (W, T + 1) by `first` and ask again of `second`, two models (harness.scoring.logits) of one file.

    Raises NotScorable for logits that are misshapen or not finite; what the comparison says is its own affair.
    """
    block_size, batch_size = windows_WT.shape[1] - 1, min(batch_size, len(windows_WT))
    fingerprints = Fingerprints(np.random.default_rng(asked.seed + 1))
    again = {ask.window for ask in asked.again if ask.length == block_size}
    known: Known = {}

    def keep(length: int) -> Callable[[np.ndarray, torch.Tensor, Losses], None]:
        def observe(numbers: np.ndarray, logits_BTV: torch.Tensor, losses: Losses) -> None:
            rows = [row for row, number in enumerate(numbers) if length < block_size or int(number) in again]
            if rows:
                chosen = Losses(losses.nats_BT[rows], losses.norms_BT[rows])
                found = fingerprints.of(logits_BTV[rows], chosen)
                known.update({(int(numbers[row]), length): found[place] for place, row in enumerate(rows)})

        return observe

    loss = validation_loss(first, windows_WT, batch_size, device, dtype, asked.order_W, keep(block_size))
    for length in dict.fromkeys(length for _, length in asked.cuts):
        cut = np.array([window for window, others in asked.cuts if others == length])
        inputs, targets = windows_WT[cut, :length], windows_WT[cut, 1 : length + 1]
        for numbers, logits_BTV, losses in losses_of(first, inputs, targets, batch_size, device, dtype):
            keep(length)(cut[numbers], logits_BTV, losses)
    scale = max(1.0, *(float(found[:, 1:].abs().max()) for found in known.values()))
    repeats, probes = _differences(second, windows_WT, asked.again, known, fingerprints, batch_size, device, dtype)
    return loss, Comparison(asked.seed, repeats, probes, scale, dtype)


def _differences(
    model: Any,
    windows_WT: np.ndarray,
    again: Sequence[Again],
    known: Known,
    fingerprints: Fingerprints,
    batch_size: int,
    device: str,
    dtype: str,
) -> tuple[Differences, Differences]:
    """Ask again, and compare: repeats, probes."""
    repeats, probes = Differences(), Differences()
    for length in sorted({ask.length for ask in again}):
        asks = [ask for ask in again if ask.length == length]
        inputs = changed_inputs(windows_WT, asks)
        targets = np.stack([windows_WT[ask.window, 1 : length + 1] for ask in asks])  # of the window as it was
        for numbers, logits_BTV, losses in losses_of(model, inputs, targets, batch_size, device, dtype):
            for number, found in zip(numbers, fingerprints.of(logits_BTV, losses), strict=True):
                ask = asks[number]
                (repeats if ask.start == length else probes).add(ask, known[ask.window, length], found)
    return repeats, probes
