"""Are the logits a function of the tokens before them alone? Asked again, of another process, in other company.

Some windows are asked a second time as they were (a repeat), some with their tokens from a random place on replaced by
those of another window (a probe): before that place nothing may have moved. The process that is asked has answered
nothing before, sees each window once and cannot tell a repeat from a probe or either from a window that is scored.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice

import numpy as np
import torch

from harness.scoring.logits import NotScorable
from harness.scoring.loss import Losses
from harness.scoring.report import Audit

SHARE = 0.1
"""Of the windows, that are repeated; as many are probed."""
FEWEST = 64
"""Repeats and probes, each, where there are so many windows."""
SHORT_LENGTHS = 4
"""Lengths below the full one at which a batch is probed, for other metrics ask for them."""
SAMPLED = 6
"""Tokens of the vocabulary, drawn anew, whose logits are compared beside the target's."""

ROUNDING = {"float32": 1e-4, "bfloat16": 3e-2}
"""Change that counts as rounding, as a share of the largest logit; one place in a thousand may change by more."""
RARE = 1e-3
MOST = {"float32": 1e-2, "bfloat16": 0.3}
"""Change that no place may show, as a share of the largest logit."""
GAIN = {"float32": 1e-3, "bfloat16": 1e-2}
"""Nats a token by which the first answers may be better in the mean, beside three standard errors."""


@dataclass(frozen=True, slots=True)
class Again:
    """A window that is asked a second time: its first `length` tokens, from `start` on those of another window."""

    window: int
    length: int
    start: int
    """Equal to `length` in a repeat."""
    donor: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of the two processes, drawn at random."""

    seed: int
    order_W: np.ndarray
    """The windows, in the order in which they are scored."""
    cuts: tuple[tuple[int, int], ...]
    """(window, length) of windows that the first process also answers in part."""
    again: tuple[Again, ...]
    """For the second process, in order."""


def plan(seed: int, count: int, block_size: int, batch_size: int) -> Plan:
    """Draw what to ask of `count` windows."""
    dice = np.random.default_rng(seed)
    many = min(count, max(FEWEST, math.ceil(SHARE * count)))
    drawn = cycle(dice.permutation(count).tolist())  # no window twice, where there are enough
    again = [Again(window, block_size, block_size, window) for window in islice(drawn, many)]
    shorter = [length for length in (32 * 2**power for power in range(16)) if length < block_size][-SHORT_LENGTHS:]
    cuts = [(window, length) for length in shorter for window in islice(drawn, min(batch_size, count))]
    whole = [(window, block_size) for window in islice(drawn, many if block_size > 1 else 0)]
    for window, length in [*whole, *cuts]:
        donor = (window + 1 + int(dice.integers(max(1, count - 1)))) % count
        again.append(Again(window, length, _start(dice, length), donor))
    order = dice.permutation(len(again))
    return Plan(seed, dice.permutation(count), tuple(cuts), tuple(again[number] for number in order))


def _start(dice: np.random.Generator, length: int) -> int:
    """From which token on a window is changed: anywhere, at the border of a chunk, or near the end, where few are."""
    kind = dice.integers(4)
    if kind == 0 and length > 16:
        return 16 * int(dice.integers(1, -(-length // 16)))
    if kind == 1:
        return int(dice.integers(max(1, length - 8), length))
    return int(dice.integers(1, length))


def changed_inputs(windows_WT: np.ndarray, again: Sequence[Again]) -> np.ndarray:
    """The inputs (N, length) of some questions of one length; a donor that is the window itself is read backwards."""
    rows = []
    for ask in again:
        row, other = windows_WT[ask.window, : ask.length].copy(), windows_WT[ask.donor, : ask.length]
        row[ask.start :] = (other[::-1] if ask.donor == ask.window else other)[ask.start :]
        rows.append(row)
    return np.stack(rows)


@dataclass(slots=True)
class Fingerprints:
    """Of each place of some answers: the target's loss, the norm, and the logits of a few tokens, (T, 2 + SAMPLED)."""

    dice: np.random.Generator
    width: int | None = None
    """Logits a place, in all answers."""
    sampled: torch.Tensor | None = None
    """The few tokens."""

    def of(self, logits_BTV: torch.Tensor, losses: Losses) -> torch.Tensor:
        """(B, T, 2 + SAMPLED), float32, on the CPU. Raises NotScorable when the number of logits changes."""
        width = logits_BTV.shape[2]
        if self.sampled is None:
            self.width = width
            self.sampled = torch.from_numpy(self.dice.integers(width, size=SAMPLED)).to(logits_BTV.device)
        if width != self.width:
            raise NotScorable("logits_misshapen", f"there are {self.width} logits a position at first, later {width}")
        own = torch.stack([losses.nats_BT, losses.norms_BT], dim=2)
        return torch.cat([own, logits_BTV[..., self.sampled].float()], dim=2).cpu()


@dataclass(slots=True)
class Differences:
    """What second answers of one kind changed."""

    changes: list[torch.Tensor] = field(default_factory=list)
    """The largest at each place before the start, in logits."""
    gains: list[float] = field(default_factory=list)

    def add(self, change_TK: torch.Tensor, probed: bool) -> None:
        """Note by how much the second answers to one row are larger, at places that may not change.

        The first of K figures is the target's loss; in a probe the last place stands right before the change.
        """
        self.changes.append(change_TK.abs().amax(1))
        nats_T = change_TK[-1:, 0] if probed else change_TK[:, 0]
        self.gains.append(float(nats_T.double().mean()))

    def verdict(self, scale: float, dtype: str) -> tuple[float, float, bool]:
        """Largest change as a share of `scale`, mean gain in nats, and whether both are what rounding explains."""
        if not self.changes:
            return 0.0, 0.0, True
        change = torch.cat(self.changes) / scale
        gains = np.array(self.gains)
        gain, error = float(gains.mean()), float(gains.std()) / math.sqrt(len(gains))
        rare = float((change > ROUNDING[dtype]).double().mean()) <= RARE
        largest = float(change.max())
        return largest, gain, rare and largest <= MOST[dtype] and gain <= GAIN[dtype] + 3 * error


@dataclass(frozen=True, slots=True)
class Comparison:
    """All second answers beside the first ones."""

    seed: int
    repeats: Differences
    probes: Differences
    scale: float
    """The largest logit."""
    dtype: str

    def judge(self) -> Audit:
        """What was found. Raises NotScorable for logits that depend on more than the tokens before them."""
        change_repeated, gain_repeated, same = self.repeats.verdict(self.scale, self.dtype)
        change_probed, gain_probed, causal = self.probes.verdict(self.scale, self.dtype)
        if not same:
            raise NotScorable(
                "non_deterministic",
                "windows that were asked again, of another process in other batches, gave other logits: they changed "
                f"by up to {change_repeated:.2g} of the largest logit, and the loss was {gain_repeated:.2g} nats a "
                "token better the first time",
            )
        if not causal:
            raise NotScorable(
                "not_causal",
                "replacing later tokens of a window changed the logits before them, by up to "
                f"{change_probed:.2g} of the largest logit; the last token before a change was predicted "
                f"{gain_probed:.2g} nats better with the true text behind it",
            )
        return Audit(
            seed=self.seed,
            repeated=len(self.repeats.gains),
            probed=len(self.probes.gains),
            change_repeated=change_repeated,
            change_probed=change_probed,
            gain_repeated=gain_repeated,
            gain_probed=gain_probed,
        )
