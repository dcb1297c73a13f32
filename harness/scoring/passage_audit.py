"""The same audit for passages, by which the other metrics are computed: a few batches of them, asked again.

In half of the rows the tokens from a random place on are replaced; no log-probability before it may then change.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from harness.scoring.audit import Comparison, Differences
from harness.scoring.logits import Question, answers
from harness.scoring.passages import Sheet, log_probabilities

KEPT = 8
"""Batches that are asked again."""


@dataclass(slots=True)
class Journal:
    """A random few of the batches that a model answered, each as likely as any other, and what it said."""

    seed: int
    kept: list[tuple[Sheet, torch.Tensor]] = field(default_factory=list)
    """With the log-probability of each predicted token, (N,)."""
    seen: int = 0
    dice: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.dice = np.random.default_rng(self.seed)

    def take(self, sheet: Sheet, log_probabilities_N: torch.Tensor) -> None:
        """Note an answer, or not (Vitter's algorithm R)."""
        self.seen += 1
        if len(self.kept) < KEPT:
            self.kept.append((sheet, log_probabilities_N))
        elif (place := int(self.dice.integers(self.seen))) < KEPT:
            self.kept[place] = sheet, log_probabilities_N


def ask_again(model: Any, journal: Journal, device: str, dtype: str) -> Comparison:
    """Ask a model (harness.scoring.logits) that has answered nothing before. Raises NotScorable."""
    repeats, probes, scale = Differences(), Differences(), 1.0
    mixed = [_mixed(sheet, journal.dice) for sheet, _ in journal.kept]
    questions = (Question(sheet.tokens_BT, sheet.places_N) for sheet, _, _ in mixed)
    for (_, first_N), (sheet, starts_B, order_N), logits_NV in zip(
        journal.kept, mixed, answers(model, questions, device, dtype), strict=True
    ):
        before_N = first_N.cpu()[order_N]
        change_N1 = (before_N - log_probabilities(logits_NV, sheet).cpu())[:, None]  # nats: -log p
        scale = max(scale, float(before_N.abs().max()))
        columns_N = sheet.places_N % sheet.tokens_BT.shape[1]
        for row, start in enumerate(starts_B.tolist()):
            compared = (sheet.owners_N == row) & (columns_N < start)
            probed = start < sheet.tokens_BT.shape[1]
            (probes if probed else repeats).add(change_N1[compared], probed)
    return Comparison(journal.seed, repeats, probes, scale, dtype)


def _mixed(sheet: Sheet, dice: np.random.Generator) -> tuple[Sheet, torch.Tensor, torch.Tensor]:
    """The sheet's rows in another order, from which place on each is changed, and where its predictions stood."""
    rows, length = sheet.tokens_BT.shape
    order_B = torch.from_numpy(dice.permutation(rows))
    place_of_B = order_B.argsort()
    owners_N = place_of_B[sheet.owners_N]
    order_N = owners_N.argsort(stable=True)
    tokens_BT = sheet.tokens_BT[order_B].clone()
    columns_N = (sheet.places_N % length)[order_N]
    owners_N = owners_N[order_N]
    starts_B = torch.full((rows,), length)
    text = sheet.tokens_BT.flatten()
    for row, first in _first_predictions(owners_N, columns_N):
        if first + 1 < length and dice.integers(2):
            starts_B[row] = start = int(dice.integers(first + 1, length))
            tokens_BT[row, start:] = text[dice.integers(len(text), size=length - start)]
    places_N = owners_N * length + columns_N
    return Sheet(tokens_BT, places_N, sheet.targets_N[order_N], owners_N), starts_B, order_N


def _first_predictions(owners_N: torch.Tensor, columns_N: torch.Tensor) -> Iterator[tuple[int, int]]:
    """Each row and the first place at which it predicts a token."""
    for row in owners_N.unique().tolist():
        yield row, int(columns_N[owners_N == row].min())
