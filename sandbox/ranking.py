"""Rows in order: the published ones, and local ones in groups of equal conditions. No rank crosses a group."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from harness.environment import SCORING_VERSION
from harness.profiles import Profile, ProfileError, load_profile, profile_names, resolve
from harness.run_config import without_paths
from sandbox.figures import short
from sandbox.noise import distinguishable
from sandbox.normalised import Anchors, all_anchors, normalised_scores
from sandbox.published import Kind
from sandbox.row import Row, conditions_sha256
from sandbox.task_schema import Metric
from sandbox.tasks import LoadedTask


class Ranked(NamedTuple):
    """A row's place in its group."""

    rank: int | None
    """From 1; equal values share a rank; None without the ranking metric."""
    name: str
    kind: Kind
    metrics: dict[str, float]
    row: Row | None
    """None for a published row."""
    normalised: dict[str, float]
    """By metric, between the group's anchors; without those that have none."""
    like: tuple[str, ...] | None
    """Baselines of the group that it cannot be told from by the ranking metric; None where the noise is unknown."""


class Ranking(NamedTuple):
    """Rows that may be compared with each other."""

    label: str
    source: str
    """Who published the rows, or "local"."""
    profile: str
    ranked: tuple[Ranked, ...]
    anchors: dict[str, Anchors]
    """By metric; empty where fewer than two baselines have it."""
    anchored_by: str
    """Whose baselines the anchors are: the group's own, or the published ones."""
    noise: float | None
    """Stated standard deviation of the ranking metric from seed to seed; None means unknown."""
    metric: str
    """The one that ranks them."""


def rank(loaded: LoadedTask, rows: Iterable[Row]) -> tuple[Ranking, ...]:
    """The published ranking, then one a group of what may be compared, the newest group first."""
    rankings = []
    published = [Ranked(None, row.name, row.kind, row.metrics, None, {}, None) for row in loaded.published]
    if loaded.task.published is not None and published:
        origin = loaded.task.published
        seed = "" if origin.seed is None else f", seed {origin.seed}"
        label = f"published by {origin.source}, {origin.profile}{seed}"
        rankings.append(_ranking(loaded, label, origin.source, origin.profile, published, ()))
    groups: dict[tuple[str, str, str, int], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.submitted, reverse=True):
        key = (row.profile, row.data_sha256, row.conditions_sha256, row.scoring_version)
        groups.setdefault(key, []).append(row)
    return (*rankings, *(_local(loaded, members, published) for members in groups.values()))


def _local(loaded: LoadedTask, members: Sequence[Row], published: Sequence[Ranked]) -> Ranking:
    first = members[0]
    label = f"local, {first.profile}, data {short(first.data_sha256)}, conditions {short(first.conditions_sha256)}"
    if first.scoring_version != SCORING_VERSION:
        label += f", scoring version {first.scoring_version}"
    local = [Ranked(None, row.name, row.kind, row.metrics, row, {}, None) for row in reversed(members)]
    profile = load_profile(first.profile) if first.profile in profile_names() else None
    if profile is None or first.conditions_sha256 not in _usual_conditions(loaded, profile):
        return _ranking(loaded, label, "local", first.profile, local, ())
    at_published = loaded.task.published is not None and loaded.task.published.profile == profile.name
    noise = profile.noise.get(loaded.task.ranking(profile.name).name)
    return _ranking(loaded, label, "local", profile.name, local, published if at_published else (), noise)


def _usual_conditions(loaded: LoadedTask, profile: Profile) -> set[str]:
    """The conditions of a profile at which nobody set a value by hand: what is stated of the profile holds there."""
    adjust = loaded.task.profiles.adjust.get(profile.name, {})
    try:
        configs = [resolve(profile, seed=0, device=device, adjust=adjust) for device in profile.devices]
    except ProfileError:  # the task's adjustments have changed since, and fit no more
        return set()
    return {conditions_sha256(loaded, without_paths(config)) for config in configs}


def _ranking(
    loaded: LoadedTask,
    label: str,
    source: str,
    profile: str,
    rows: Sequence[Ranked],
    published: Sequence[Ranked],
    noise: float | None = None,
) -> Ranking:
    own, theirs = (all_anchors(loaded.task.metrics, _baselines(found)) for found in (rows, published))
    by = "the baselines of this group" if own else "the published baselines" if theirs else ""
    anchors = own or theirs
    metric = loaded.task.ranking(profile)
    marked = [
        row._replace(normalised=normalised_scores(row.metrics, anchors), like=_like(metric.name, row, rows, noise))
        for row in rows
    ]
    return Ranking(label, source, profile, _in_order(metric, marked), anchors, by, noise, metric.name)


def _baselines(rows: Iterable[Ranked]) -> dict[str, list[Mapping[str, float]]]:
    found: dict[str, list[Mapping[str, float]]] = {}
    for row in rows:
        if row.kind == "baseline":
            found.setdefault(row.name, []).append(row.metrics)
    return found


def _like(metric: str, row: Ranked, rows: Iterable[Ranked], noise: float | None) -> tuple[str, ...] | None:
    """The baselines that a row cannot be told from; None where that is not known of any of them."""
    baselines = [other for other in rows if other.kind == "baseline" and metric in other.metrics]
    if row.kind == "baseline" or metric not in row.metrics:
        return None
    values = _seed_values(metric, row)
    verdicts = [(other.name, distinguishable(values, _seed_values(metric, other), noise)) for other in baselines]
    if all(verdict is None for _, verdict in verdicts):
        return None
    return tuple(dict.fromkeys(name for name, verdict in verdicts if verdict is False))


def _seed_values(metric: str, row: Ranked) -> list[float]:
    """The metric of each seed's run."""
    by_seed = [] if row.row is None else [found[metric] for found in row.row.by_seed.values() if metric in found]
    return by_seed or [row.metrics[metric]]


def _in_order(metric: Metric, rows: Sequence[Ranked]) -> tuple[Ranked, ...]:
    sign = 1 if metric.direction == "min" else -1
    scored = sorted(
        (row for row in rows if metric.name in row.metrics), key=lambda row: sign * row.metrics[metric.name]
    )
    values = [row.metrics[metric.name] for row in scored]
    placed = [row._replace(rank=values.index(value) + 1) for row, value in zip(scored, values, strict=True)]
    return (*placed, *(row for row in rows if metric.name not in row.metrics))
