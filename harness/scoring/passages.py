"""Log-likelihoods of token sequences, batched by length; only the logits that are asked for are kept."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, tee
from typing import Any, NamedTuple

import torch

from harness.scoring.logits import NotScorable, Question, answers

_SHORTEST = 32
_ELEMENTS = 1 << 26
"""Logits in one float32 chunk (256 MiB)."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens, and how many of the last of them are to be predicted from those before."""

    tokens: Sequence[int]
    """At most one more than the model's block size."""
    scored: int

    @property
    def inputs(self) -> int:
        """Positions that the model sees: all but the last."""
        return len(self.tokens) - 1


@dataclass(frozen=True, slots=True)
class Score:
    """What a model says to the scored tokens of a passage."""

    log_likelihood: float
    """Natural logarithm of their probability."""
    greedy: bool
    """Whether each of them was the likeliest."""


class Sheet(NamedTuple):
    """A batch of passages, on the CPU."""

    tokens_BT: torch.Tensor
    places_N: torch.Tensor
    """Where, in (B * T,), a token is predicted."""
    targets_N: torch.Tensor
    owners_N: torch.Tensor
    """Whose passage's."""


Observer = Callable[[Sheet, torch.Tensor], None]
"""Takes a batch and the log-probability of each of its predicted tokens, (N,)."""


def cut(context: Sequence[int], continuation: Sequence[int], block_size: int) -> list[Passage]:
    """Passages that predict each token of the continuation once, block_size at a time, with as much before as fits.

    The last passage reaches back over tokens that are scored already, so that its context is full as well.
    """
    if not context or not continuation:
        raise ValueError(f"{len(continuation)} tokens after {len(context)}: there has to be one of each at least")
    tokens, passages = [*context, *continuation], []
    for start in range(len(context), len(tokens), block_size):
        end = min(start + block_size, len(tokens))
        passages.append(Passage(tokens[max(0, end - block_size - 1) : end], end - start))
    return passages


def padded_length(length: int, block_size: int) -> int:
    """Round up to three binary digits, at least 32: few shapes for kernels to tune for, little padding."""
    step = max(_SHORTEST, 1 << max(0, (length - 1).bit_length() - 3))
    return min(-(-length // step) * step, block_size)


def batches(passages: Sequence[Passage], block_size: int, tokens_per_batch: int) -> Iterator[tuple[int, list[int]]]:
    """Padded length and the passages' numbers of each batch, the longest first."""

    def padded(number: int) -> int:
        return padded_length(passages[number].inputs, block_size)

    for length, group in groupby(sorted(range(len(passages)), key=padded, reverse=True), padded):
        numbers, size = list(group), max(1, tokens_per_batch // length)
        for first in range(0, len(numbers), size):
            yield length, numbers[first : first + size]


@torch.no_grad()
def score_passages(
    model: Any,
    passages: Sequence[Passage],
    *,
    block_size: int,
    tokens_per_batch: int,
    device: str,
    dtype: str,
    observe: Observer = lambda sheet, log_probabilities_N: None,
) -> list[Score]:
    """Score each passage by a model (harness.scoring.logits), padded on the right, which a causal model cannot see.

    `observe` is shown each batch and the log-probabilities of its predicted tokens. Raises NotScorable for logits that
    are misshapen or give a log-likelihood that is no number.
    """
    batched = list(batches(passages, block_size, tokens_per_batch))
    sheets, ahead = tee(_sheet([passages[number] for number in numbers], length) for length, numbers in batched)
    questions = (Question(sheet.tokens_BT, sheet.places_N) for sheet in ahead)
    sums = []
    for sheet, logits_NV in zip(sheets, answers(model, questions, device, dtype), strict=True):
        found_N2 = outcomes(logits_NV, sheet)
        observe(sheet, found_N2[:, 0])
        sums_B2 = torch.zeros(len(sheet.tokens_BT), 2, dtype=torch.float64, device=logits_NV.device)
        sums.append(sums_B2.index_add_(0, sheet.owners_N.to(logits_NV.device), found_N2))
    order = [number for _, numbers in batched for number in numbers]
    found = torch.cat(sums).tolist() if sums else []
    if not all(math.isfinite(log_likelihood) for log_likelihood, _ in found):
        raise NotScorable("logits_not_finite", "some log-likelihoods are not finite")
    by_number = {number: Score(nats, misses == 0) for number, (nats, misses) in zip(order, found, strict=True)}
    return [by_number[number] for number in range(len(passages))]


def _sheet(passages: list[Passage], length: int) -> Sheet:
    tokens_BT = torch.zeros(len(passages), length, dtype=torch.long)
    places: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    for row, passage in enumerate(passages):
        tokens_BT[row, : passage.inputs] = torch.tensor(passage.tokens[:-1])
        end = row * length + passage.inputs
        places += range(end - passage.scored, end)
        targets += passage.tokens[-passage.scored :]
        owners += [row] * passage.scored
    return Sheet(tokens_BT, torch.tensor(places), torch.tensor(targets), torch.tensor(owners))


def log_probabilities(logits_NV: torch.Tensor, sheet: Sheet) -> torch.Tensor:
    """Of each predicted token, (N,) float64. Raises NotScorable for logits that leave a token out."""
    return outcomes(logits_NV, sheet)[:, 0]


def outcomes(logits_NV: torch.Tensor, sheet: Sheet) -> torch.Tensor:
    """Log-probability of each target, and 1 where another token was likelier: (N, 2) float64.

    Raises NotScorable for logits that leave a token out.
    """
    width, largest = logits_NV.shape[1], int(sheet.targets_N.max())
    if width <= largest:
        raise NotScorable("logits_misshapen", f"there are {width} logits a position for token {largest}")
    targets_N, parts = sheet.targets_N.to(logits_NV.device), []
    size = max(1, _ELEMENTS // width)
    for rows_NV, rows_N in zip(logits_NV.split(size), targets_N.split(size), strict=True):
        rows_NV = rows_NV.float()
        chosen_N = rows_NV.gather(1, rows_N[:, None])[:, 0]
        missed_N = rows_NV.argmax(1) != rows_N
        parts.append(torch.stack([(chosen_N - rows_NV.logsumexp(1)).double(), missed_N.double()], dim=1))
    return torch.cat(parts)
