"""Whether two results differ by more than another seed alone would move them. Pure.

With several seeds each by Welch's t-interval (Welch 1947, Biometrika 34); else by a stated seed-to-seed deviation.
"""

import math
from collections.abc import Sequence
from statistics import fmean, variance

CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959964
"""Of a two-sided interval of CONFIDENCE."""


def distinguishable(a: Sequence[float], b: Sequence[float], noise: float | None) -> bool | None:
    """Whether the 95 % interval of the difference of two means excludes 0; None where nothing says how they scatter.

    `a` and `b` hold one value a seed, `noise` the standard deviation that a single seed's value is known to have.
    """
    difference = abs(fmean(a) - fmean(b))
    if len(a) > 1 and len(b) > 1:
        return difference > 0 and welch_confidence(a, b) > CONFIDENCE
    if noise is None:
        return None
    return difference > NORMAL_QUANTILE * noise * math.sqrt(1 / len(a) + 1 / len(b))


def welch_confidence(a: Sequence[float], b: Sequence[float]) -> float:
    """The largest confidence at which Welch's interval for the difference of two means still excludes 0."""
    shares = variance(a) / len(a), variance(b) / len(b)
    if sum(shares) == 0:
        return 1.0
    t = abs(fmean(a) - fmean(b)) / math.sqrt(sum(shares))
    freedom = sum(shares) ** 2 / (shares[0] ** 2 / (len(a) - 1) + shares[1] ** 2 / (len(b) - 1))
    return t_probability(t, freedom)


def t_probability(t: float, freedom: float) -> float:
    """P(|T| < t) for Student's T with at least one degree of freedom, to eight digits.

    With T = sqrt(freedom) tan(angle) the density is cos(angle)**(freedom - 1), up to a constant, which Simpson's rule
    integrates.
    """
    end, steps = math.atan(t / math.sqrt(freedom)), 2000
    heights = [math.pow(math.cos(end * step / steps), freedom - 1) for step in range(steps + 1)]
    integral = (heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2])) * end / steps / 3
    whole = math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2)) * math.sqrt(math.pi) / 2
    return min(1.0, integral / whole)
