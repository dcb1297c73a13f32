"""How far a short training ranks mechanisms as a long one does: Kendall's tau, and what noise could turn. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, variance

from sandbox.noise import CONFIDENCE, t_probability


@dataclass(frozen=True, slots=True)
class Pair:
    """Two mechanisms, the one that is better in the long training first."""

    better: str
    worse: str
    gap: float
    """By how much the mean loss of `worse` lies above that of `better`; negative where the order is turned round."""
    certain: bool
    """Whether the 95 % interval of the gap excludes 0."""


def pairs(losses: Mapping[str, Sequence[float]]) -> tuple[Pair, ...]:
    """Every pair of mechanisms, which `losses` holds in the order of the long training, one loss a seed.

    The deviation from seed to seed is taken to be the same for all mechanisms, and is pooled over them; with one seed
    nothing is certain.
    """
    seeds = min(map(len, losses.values()))
    freedom = sum(len(values) - 1 for values in losses.values())
    squares = sum(variance(values) * (len(values) - 1) for values in losses.values() if len(values) > 1)
    error = math.sqrt(2 * squares / freedom / seeds) if freedom else math.inf
    return tuple(
        Pair(better, worse, gap := fmean(losses[worse]) - fmean(losses[better]), _certain(gap, error, freedom))
        for better, worse in combinations(losses, 2)
    )


def _certain(gap: float, error: float, freedom: int) -> bool:
    if error == 0:
        return gap != 0
    return freedom > 0 and t_probability(abs(gap) / error, freedom) > CONFIDENCE


def kendall_tau(found: Sequence[Pair]) -> float:
    """Pairs in order less pairs turned round, over all pairs: 1 for the same order, -1 for its reverse.

    Source: Kendall 1938, A New Measure of Rank Correlation, Biometrika 30.
    """
    return sum((pair.gap > 0) - (pair.gap < 0) for pair in found) / len(found)
