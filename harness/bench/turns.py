"""Measurements that take turns, so that what else a machine does falls on all of them alike."""

from collections.abc import Callable, Mapping
from statistics import median


def medians_in_turn(cases: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each measurement over so many rounds, after one that warms up."""
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):
        for name, measure in cases.items():
            found[name].append(measure())
    return {name: median(values[1:]) for name, values in found.items()}
