"""The normalised score: its anchors, what lies between and beyond them, and when there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.normalised import Anchors, all_anchors, anchors_of, normalised, normalised_scores
from sandbox.task_schema import Metric
from sandbox.tasks import list_tasks, load_task

LOSS = Metric("val_loss", "min", primary=True, bound=0.0)
ACCURACY = Metric("accuracy", "max", bound=1.0)


@pytest.mark.parametrize(
    ("value", "score"), [(3.0, 0.0), (2.5, 0.25), (2.0, 0.5), (1.0, 0.75), (0.0, 1.0), (9.0, 0.0), (-1.0, 1.0)]
)
def test_a_loss_is_placed_between_its_anchors_and_cut_off_beyond(value: float, score: float) -> None:
    """Baselines at 3 and 2 and the bound 0: linear on either side of the best baseline."""
    anchors = anchors_of(LOSS, [2.0, 3.0, 2.25])
    assert anchors == Anchors(3.0, 2.0, 0.0)
    assert normalised(value, anchors) == pytest.approx(score)


def test_where_higher_is_better_the_scale_is_turned_round() -> None:
    """Of accuracies the lowest baseline is 0, the highest 0.5, and 1 is 1."""
    anchors = anchors_of(ACCURACY, [0.5, 0.25])
    assert anchors is not None
    assert [normalised(value, anchors) for value in (0.25, 0.375, 0.5, 0.75, 1.0)] == [0.0, 0.25, 0.5, 0.75, 1.0]


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=5, unique=True), st.floats(0, 12), st.floats(0, 12))
def test_a_better_value_never_scores_lower(baselines: list[float], one: float, other: float) -> None:
    """The score is in [0, 1] and follows the metric's direction, for any baselines."""
    anchors = anchors_of(LOSS, baselines)
    assert anchors is not None
    scores = normalised(min(one, other), anchors), normalised(max(one, other), anchors)
    assert 1 >= scores[0] >= scores[1] >= 0


@pytest.mark.parametrize(
    ("metric", "baselines"),
    [
        (LOSS, []),
        (LOSS, [2.0]),
        (LOSS, [2.0, 2.0]),
        (LOSS, [2.0, 0.0]),
        (ACCURACY, [0.5, 1.0]),
        (Metric("loss", "min"), [2.0, 3.0]),
    ],
)
def test_without_a_scale_there_is_no_score(metric: Metric, baselines: list[float]) -> None:
    """Fewer than two different baselines, one at the bound, or no bound: nothing to measure against."""
    assert anchors_of(metric, baselines) is None


def test_runs_of_one_baseline_count_as_their_mean() -> None:
    """Running the best baseline twice makes no second baseline of it, and its luckier run is not its value."""
    runs = {"a": [{"val_loss": 2.0}, {"val_loss": 3.0}], "b": [{"val_loss": 4.0, "accuracy": 0.5}]}
    anchors = all_anchors([LOSS, ACCURACY], runs)
    assert anchors == {"val_loss": Anchors(4.0, 2.5, 0.0)}
    assert all_anchors([LOSS], {"a": runs["a"]}) == {}
    assert normalised_scores({"val_loss": 2.5, "accuracy": 1.0}, anchors) == {"val_loss": 0.5}


def test_the_published_rows_of_the_shipped_tasks_are_on_the_scale() -> None:
    """Each task's metrics have a bound that its published rows have not reached."""
    for task in list_tasks():
        loaded = load_task(task)
        baselines = {row.name: [row.metrics] for row in loaded.published if row.kind == "baseline"}
        anchors = all_anchors(loaded.task.metrics, baselines)
        assert set(anchors) == {"val_loss", "wikitext2_ppl", "lambada_ppl"}
        for row in loaded.published:
            scores = normalised_scores(row.metrics, anchors)
            assert all(0 <= score <= (0.5 if row.kind == "baseline" else 0.9) for score in scores.values())
