"""The ranking: groups of what may be compared, ties, published rows apart, anchors and marks."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from harness.profiles import load_profile, resolve
from harness.run_config import without_paths
from sandbox.published import Kind, PublishedRow
from sandbox.ranking import Ranking, rank
from sandbox.row import Row, conditions_sha256
from sandbox.tasks import LoadedTask


def places(loaded: LoadedTask, rows: list[Row]) -> list[list[tuple[int | None, str]]]:
    """Rank and name of every row, group by group."""
    return [[(ranked.rank, ranked.name) for ranked in ranking.ranked] for ranking in rank(loaded, rows)]


def test_published_rows_stand_apart(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """Published results are ranked among themselves, under the name of their source."""
    published, local = rank(measured_task, [row(2.0)])
    assert "A paper, 2020" in published.label
    assert [(ranked.rank, ranked.name) for ranked in published.ranked] == [(1, "best"), (2, "known")]
    assert [(ranked.rank, ranked.name) for ranked in local.ranked] == [(1, "tester")]


@pytest.mark.parametrize(
    "change", [{"profile": "p"}, {"data_sha256": "e" * 64}, {"conditions_sha256": "f" * 64}, {"scoring_version": 9}]
)
def test_other_conditions_are_another_group(
    measured_task: LoadedTask, row: Callable[..., Row], change: dict[str, Any]
) -> None:
    """A result under another profile, data set, configuration or way of scoring is never ranked with this one."""
    assert places(measured_task, [row(2.0), row(1.0, name="other", **change)])[1:] == [[(1, "tester")], [(1, "other")]]


def test_ties_share_a_rank_and_missing_scores_have_none(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """Equal losses are equally good; a row without the primary metric comes last."""
    rows = [row(3.0, name="c"), row(2.0, name="a"), row(None, name="d"), row(2.0, name="b")]
    [group] = places(measured_task, rows)[1:]
    assert sorted(group[:2]) == [(1, "a"), (1, "b")]
    assert group[2:] == [(3, "c"), (None, "d")]


def test_higher_is_better_where_the_task_says_so(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """The direction of the primary metric decides."""
    metrics = tuple(structs.replace(metric, direction="max") for metric in measured_task.task.metrics)
    task = structs.replace(measured_task, task=structs.replace(measured_task.task, metrics=metrics))
    assert places(task, [row(1.0, name="low"), row(2.0, name="high")])[1:] == [[(1, "high"), (2, "low")]]


def test_a_profile_may_be_ranked_by_a_metric_of_its_own(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """Rows at the profile that a metric names are ordered, anchored and marked by it; all others by the primary one."""
    loss, accuracy, secret = measured_task.task.metrics
    own = structs.replace(accuracy, ranks_at=("recall",), bound=1.0)
    loaded = structs.replace(measured_task, task=structs.replace(measured_task.task, metrics=(loss, own, secret)))
    both = [{"val_loss": 1.0, "accuracy": 0.2}, {"val_loss": 2.0, "accuracy": 0.6}, {"val_loss": 3.0, "accuracy": 0.7}]
    rows = [row(name=name, kind=kind, metrics=found) for name, kind, found in zip("abc", KINDS, both, strict=True)]
    *_, there = rank(loaded, [structs.replace(each, profile="recall") for each in rows])
    assert [(ranked.rank, ranked.name) for ranked in there.ranked] == [(1, "c"), (2, "b"), (3, "a")]
    assert there.metric == "accuracy"
    assert [ranked.normalised["accuracy"] for ranked in there.ranked] == [pytest.approx(0.625), 0.5, 0.0]
    *_, elsewhere = rank(loaded, rows)
    assert [(ranked.rank, ranked.name) for ranked in elsewhere.ranked] == [(1, "a"), (2, "b"), (3, "c")]
    assert elsewhere.metric == "val_loss"


KINDS: tuple[Kind, ...] = ("baseline", "baseline", "agent")

MakeRow = Callable[..., Row]


def usual(loaded: LoadedTask, profile: str, device: str, **changes: Any) -> dict[str, str]:
    """A profile and the hash of its own conditions, with these values set by hand."""
    config = without_paths(resolve(load_profile(profile), seed=7, device=device))
    return {"profile": profile, "conditions_sha256": conditions_sha256(loaded, {**config, **changes})}


def test_a_group_is_measured_by_its_own_baselines(measured_task: LoadedTask, row: MakeRow) -> None:
    """Worst baseline 0, best 0.5, the bound 1; one baseline alone makes no scale."""
    known = [row(3.0, name="a", kind="baseline"), row(2.0, name="b", kind="baseline")]
    *_, group = rank(measured_task, [*known, row(1.0)])
    assert [(ranked.name, ranked.normalised) for ranked in group.ranked] == [
        ("tester", {"val_loss": 0.75}),
        ("b", {"val_loss": 0.5}),
        ("a", {"val_loss": 0.0}),
    ]
    assert group.anchored_by == "the baselines of this group"
    *_, alone = rank(measured_task, [known[0], row(1.0)])
    assert [ranked.normalised for ranked in alone.ranked] == [{}, {}]


def test_published_baselines_measure_local_rows_at_the_published_conditions_alone(
    measured_task: LoadedTask, row: MakeRow
) -> None:
    """Without baselines of its own, a group at the published profile's own settings uses the published ones."""
    more = (*measured_task.published, PublishedRow("worse", "baseline", {"val_loss": 3.5}))
    loaded = structs.replace(measured_task, published=more)

    def last(**changes: Any) -> Ranking:
        return rank(loaded, [row(2.0, **changes)])[-1]

    published = last(**usual(loaded, "gpt-345m", "cuda"))
    assert published.anchored_by == "the published baselines"
    assert published.ranked[0].normalised == {"val_loss": 0.6}
    for other in (usual(loaded, "gpt-345m", "cuda", max_iters=9), usual(loaded, "smoke", "cpu")):
        assert last(**other).ranked[0].normalised == {}


def test_a_stated_noise_marks_what_another_seed_could_have_done(measured_task: LoadedTask, row: MakeRow) -> None:
    """One seed each: within 1.96 sqrt(2) deviations of a baseline it is like it; at other settings nobody knows."""
    smoke = usual(measured_task, "smoke", "cpu")
    noise = load_profile("smoke").noise["val_loss"]
    known = row(2.0, name="known", kind="baseline", **smoke)
    rows = [known, row(2.0 - 2.5 * noise, name="near", **smoke), row(2.0 - 3 * noise, name="far", **smoke)]
    group = rank(measured_task, rows)[-1]
    assert {ranked.name: ranked.like for ranked in group.ranked} == {"far": (), "near": ("known",), "known": None}
    assert group.noise == noise
    shorter = usual(measured_task, "smoke", "cpu", max_iters=9)
    unknown = rank(measured_task, [structs.replace(found, **shorter) for found in rows])[-1]
    assert [ranked.like for ranked in unknown.ranked] == [None, None, None]


def test_several_seeds_speak_for_themselves(measured_task: LoadedTask, row: MakeRow) -> None:
    """Where both sides have at least two seeds, Welch's interval decides, whatever the settings."""

    def seeds(*losses: float) -> dict[str, Any]:
        by_seed = {str(42 + index): {"val_loss": loss} for index, loss in enumerate(losses)}
        return {"loss": sum(losses) / len(losses), "by_seed": by_seed}

    known = row(name="known", kind="baseline", **seeds(2.0, 2.1, 2.05))
    near, far = row(name="near", **seeds(1.9, 2.1, 2.0)), row(name="far", **seeds(1.0, 1.1, 1.05))
    group = rank(measured_task, [known, near, far])[-1]
    assert {ranked.name: ranked.like for ranked in group.ranked} == {"far": (), "near": ("known",), "known": None}
