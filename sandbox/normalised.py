"""A score that reads alike for every metric: worst baseline 0, best baseline 0.5, the metric's bound 1. Pure.

The anchors are those of MLS-Bench (arXiv:2605.08678); between them the score is linear.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sandbox.task_schema import Metric


class Anchors(NamedTuple):
    """The values of a metric at which the score is 0, 0.5 and 1."""

    worst: float
    best: float
    bound: float


def anchors_of(metric: Metric, baselines: Iterable[float]) -> Anchors | None:
    """The anchors that the baselines' values make; None where they span no scale below the metric's bound."""
    values = sorted(baselines, reverse=metric.direction == "min")
    if len(values) < 2 or values[0] == values[-1] or metric.bound is None:
        return None
    worst, best = values[0], values[-1]
    room = best - metric.bound if metric.direction == "min" else metric.bound - best
    return Anchors(worst, best, metric.bound) if room > 0 else None


def normalised(value: float, anchors: Anchors) -> float:
    """0.5 (v - worst) / (best - worst) up to the best baseline, 0.5 + 0.5 (v - best) / (bound - best) from there on.

    Cut off at 0 and 1. The direction is in the signs of the differences.
    """
    share = (value - anchors.worst) / (anchors.best - anchors.worst)
    if share <= 1:
        return max(0.0, 0.5 * share)
    return min(1.0, 0.5 + 0.5 * (value - anchors.best) / (anchors.bound - anchors.best))


def all_anchors(metrics: Iterable[Metric], baselines: Mapping[str, list[Mapping[str, float]]]) -> dict[str, Anchors]:
    """The anchors of each metric that has them; `baselines` holds the metrics of each baseline's runs, by its name.

    Several runs of one baseline count as their mean.
    """
    found = {}
    for metric in metrics:
        runs = [[run[metric.name] for run in runs if metric.name in run] for runs in baselines.values()]
        anchors = anchors_of(metric, (sum(values) / len(values) for values in runs if values))
        if anchors is not None:
            found[metric.name] = anchors
    return found


def normalised_scores(metrics: Mapping[str, float], anchors: Mapping[str, Anchors]) -> dict[str, float]:
    """The normalised score of each metric that was measured and has anchors."""
    return {name: normalised(metrics[name], found) for name, found in anchors.items() if name in metrics}
