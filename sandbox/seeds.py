"""A test of several seeds as one result: means, spread, and the facts that its runs share. Pure."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from sandbox.errors import UsageError
from sandbox.task_schema import Task

_SUMMED = {"train_seconds", "score_seconds", "gpu_hours"}
_LARGEST = {"peak_memory_bytes"}
LARGEST_SEED = 2**32 - 1


class Spread(NamedTuple):
    """How a metric scatters over seeds."""

    deviation: float
    """Sample standard deviation."""
    smallest: float
    largest: float


def parse_seeds(text: str, typed: str = "start --seeds") -> tuple[int, ...]:
    """The seeds of `42,43`. Raises UsageError for anything else, and for a seed given twice.

    `typed` is what stood between `linbench` and the seeds, for the hint.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() for word in words):
        raise UsageError(f"--seeds {text!r} are no numbers with commas between them.", run=f"linbench {typed} 42,43")
    return require_seeds(tuple(map(int, words)), typed)


def chosen_seeds(task: Task, mode: str, seed: int | None, listed: str | None) -> tuple[int, ...]:
    """The seeds of a session: `--seed`, else `--seeds`, else the task's; a vanilla session trains the first alone.

    Raises UsageError for what cannot be.
    """
    if seed is not None and listed is not None:
        raise UsageError("Give --seed or --seeds, not both.", run="linbench start --seeds 42,43")
    if seed is not None:
        return require_seeds((seed,), "start --seed")
    if listed is None:
        return task.seeds[:1] if mode == "vanilla" else task.seeds
    seeds = parse_seeds(listed)
    if mode == "vanilla" and len(seeds) > 1:
        raise UsageError(f"A vanilla session has one seed, not {len(seeds)}.", run=f"linbench start --seed {seeds[0]}")
    return seeds


def require_seeds(seeds: tuple[int, ...], typed: str = "start --seeds") -> tuple[int, ...]:
    """The seeds. Raises UsageError for one out of range or given twice; `typed` as for `parse_seeds`."""
    wrong = [seed for seed in seeds if not 0 <= seed <= LARGEST_SEED]
    if wrong:
        raise UsageError(f"The seed is {wrong[0]}, but must be from 0 to {LARGEST_SEED}.", run=f"linbench {typed} 42")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"A seed is given twice: {', '.join(map(str, seeds))}.", run=f"linbench {typed} 42,43")
    return seeds


def mean_metrics(by_seed: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric that every seed has, in the first one's order."""
    names = [name for name in by_seed[0] if all(name in found for found in by_seed)]
    return {name: fmean(found[name] for found in by_seed) for name in names}


def spreads(by_seed: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """How each metric scatters that every seed has; empty below two seeds."""
    if len(by_seed) < 2:
        return {}
    columns = {name: [found[name] for found in by_seed] for name in mean_metrics(by_seed)}
    return {name: Spread(stdev(values), min(values), max(values)) for name, values in columns.items()}


def joint_facts(by_seed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a test of several seeds says of itself: costs added up, other numbers as means, what differs left out."""
    names = [name for name in by_seed[0] if all(name in found for found in by_seed)]
    joint = {name: _joint(name, [found[name] for found in by_seed]) for name in names}
    missing = {name: why for found in by_seed for name, why in found.get("not_measured", {}).items()}
    joint["not_measured"] = missing or None
    return {name: value for name, value in joint.items() if value is not None}


def _joint(name: str, values: Sequence[Any]) -> Any:
    if name in _SUMMED:
        return sum(values)
    if name in _LARGEST:
        return max(values)
    if all(value == values[0] for value in values):
        return values[0]
    return fmean(values) if all(isinstance(value, int | float) for value in values) else None
