"""Validation loss: mean cross-entropy in nats a token over non-overlapping windows, from logits alone."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from harness.scoring.logits import NotScorable, Question, answers

_ELEMENTS = 1 << 26
"""Logits in one float32 chunk (256 MiB)."""

Observer = Callable[[np.ndarray, torch.Tensor, "Losses"], None]
"""Takes the rows' numbers (n,), their logits (n, T, V) and what these come to."""


@dataclass(frozen=True, slots=True)
class ValidationLoss:
    """The loss and exactly which tokens it is over."""

    loss: float
    """Nats a token."""
    tokens: int
    sha256: str
    """Of the windows' uint16 tokens, first inputs included."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What the logits of some rows say to their targets."""

    nats_BT: torch.Tensor
    """-log p(target), float32."""
    norms_BT: torch.Tensor
    """log sum exp(logits), float32."""
    finite: torch.Tensor
    """Whether all logits are finite numbers, ()."""


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


def validation_loss(
    model: Any,
    windows_WT: np.ndarray,
    batch_size: int,
    device: str,
    dtype: str,
    order_W: np.ndarray | None = None,
    observe: Observer = lambda numbers, logits_BTV, losses: None,
) -> ValidationLoss:
    """Score a model (harness.scoring.logits) on windows (W, T + 1), in the given order; `observe` sees each batch.

    Raises NotScorable for logits that are misshapen or not finite.
    """
    order_W = np.arange(len(windows_WT)) if order_W is None else order_W
    batch_size = min(batch_size, len(order_W))
    inputs, targets = windows_WT[:, :-1], windows_WT[:, 1:]
    sums = []
    for numbers, logits_BTV, losses in losses_of(model, inputs[order_W], targets[order_W], batch_size, device, dtype):
        sums.append(losses.nats_BT.sum(1, dtype=torch.float64))
        observe(order_W[numbers], logits_BTV, losses)
    digest = hashlib.sha256(windows_WT.astype("<u2").tobytes()).hexdigest()
    sums_W = torch.cat(sums).cpu()[np.argsort(order_W)]  # added up in one order, whichever they were asked in
    return ValidationLoss(float(sums_W.sum()) / targets.size, targets.size, digest)


def losses_of(
    model: Any, inputs_NT: np.ndarray, targets_NT: np.ndarray, batch_size: int, device: str, dtype: str
) -> Iterator[tuple[np.ndarray, torch.Tensor, Losses]]:
    """Numbers (n,), logits (n, T, V) and losses of some rows at a time, in order.

    All batches have `batch_size` rows, for another shape may round otherwise: the last is filled up with rows again.
    Raises NotScorable for logits that are misshapen or not finite.
    """
    count, length = inputs_NT.shape
    batches = [np.arange(first, first + batch_size) % count for first in range(0, count, batch_size)]
    questions = (Question(torch.from_numpy(inputs_NT[batch].astype(np.int64))) for batch in batches)
    finite = []
    for batch, logits_NV in zip(batches, answers(model, questions, device, dtype), strict=True):
        kept = min(batch_size, count - int(batch[0]))
        targets_BT = targets_NT[batch[:kept]].astype(np.int64)
        width, largest = logits_NV.shape[1], int(targets_BT.max())
        if width <= largest:
            raise NotScorable("logits_misshapen", f"there are {width} logits a position for token {largest}")
        logits_NV = logits_NV[: kept * length]
        targets_N = torch.from_numpy(targets_BT).to(logits_NV.device, non_blocking=True).flatten()
        losses = _losses(logits_NV, targets_N, (kept, length))
        finite.append(losses.finite)
        yield batch[:kept], logits_NV.view(kept, length, width), losses
    if not torch.stack(finite).all():
        raise NotScorable("logits_not_finite", "some logits are not finite")


def _losses(logits_NV: torch.Tensor, targets_N: torch.Tensor, shape: tuple[int, int]) -> Losses:
    parts = []
    size = max(1, _ELEMENTS // logits_NV.shape[1])  # a float32 copy of all of them may not fit
    for rows_NV, rows_N in zip(logits_NV.split(size), targets_N.split(size), strict=True):
        rows_NV = rows_NV.float()
        largest_N1 = rows_NV.amax(1, keepdim=True)
        shifted_NV = rows_NV - largest_N1
        log_sum_N = shifted_NV.exp().sum(1).log()
        target_N = shifted_NV.gather(1, rows_N[:, None])[:, 0]
        finite_N = largest_N1[:, 0].isfinite() & rows_NV.amin(1).isfinite()
        parts.append((log_sum_N - target_N, log_sum_N + largest_N1[:, 0], finite_N))
    nats_N, norms_N, finite_N = (torch.cat(part) for part in zip(*parts, strict=True))
    return Losses(nats_N.view(shape), norms_N.view(shape), finite_N.all())
