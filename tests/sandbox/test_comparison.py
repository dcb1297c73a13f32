"""Two tests side by side: differences with their direction, conditions that differ, and the diff of the regions."""

from collections.abc import Callable

import pytest

from sandbox.comparison import compare_report
from sandbox.errors import UsageError
from sandbox.events import Event, Submit
from sandbox.state import SessionState

Play = Callable[..., SessionState]
RunTest = Callable[..., list[Event]]


def test_says_which_is_better_and_how_the_regions_differ(play: Play, run_test: RunTest) -> None:
    """A lower loss is better, a lower accuracy worse; the diff covers the changed region only."""
    state = play(
        *run_test(1, "a = 2\nb = 1\n", {"val_loss": 2.5, "accuracy": 0.5}),
        *run_test(2, "a = 3\nb = 1\n", {"val_loss": 2.25, "accuracy": 0.25}),
    )
    report = compare_report(state, 1, 2)
    assert "-0.2500 (better)" in report.text()
    assert "-0.2500 (worse)" in report.text()
    assert "--- test 1\n+++ test 2\n@@ -1,2 +1,2 @@\n-a = 2\n+a = 3\n b = 1" in report.text()
    assert list(report.data["diffs"]) == ["first"]
    assert report.data["differences"] == {"val_loss": -0.25, "accuracy": -0.25}
    assert report.data["comparable"] is True


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"profile": "char-10m"}, "profile"),
        ({"data": "e" * 64}, "data"),
        (
            {"config": {"max_iters": 20, "seed": 42, "micro_batch_size": 8, "gradient_accumulation_steps": 2}},
            "max_iters",
        ),
    ],
)
def test_names_the_conditions_that_differ(play: Play, run_test: RunTest, change: dict[str, object], named: str) -> None:
    """Scores under other conditions are shown, with a warning that names what differs."""
    state = play(*run_test(1, "a = 2\n", {"val_loss": 2.5}), *run_test(2, "a = 3\n", {"val_loss": 2.0}, **change))
    report = compare_report(state, 1, 2)
    assert report.data["differing_conditions"] == [named]
    assert f"Not comparable: they differ in {named}." in report.text()


def test_a_failed_test_and_a_test_with_itself(play: Play, run_test: RunTest) -> None:
    """What was not measured is a dash, and a test equals itself."""
    state = play(*run_test(1, "a = 2\n", {"val_loss": 2.5}), *run_test(2, "a = 3\n", None))
    lines = [line.split() for line in compare_report(state, 1, 2).text().splitlines()]
    assert ["val_loss", "2.5000", "-"] in lines
    assert ["seconds", "1", "min", "01", "s", "3.0", "s"] in lines
    same = compare_report(state, 1, 1)
    assert "Their regions are the same." in same.text()
    assert same.data["diffs"] == {}


def test_withholds_hidden_metrics_until_submission(play: Play, run_test: RunTest) -> None:
    """A comparison is no way around the task's secrets."""
    events = [*run_test(1, "a = 2\n", {"val_loss": 2.5, "secret": 0.125}), *run_test(2, "a = 3\n", {"val_loss": 2.0})]
    assert "secret" not in compare_report(play(*events), 1, 2).data["tests"][0]["metrics"]
    assert "0.1250" not in compare_report(play(*events), 1, 2).text()
    assert "0.1250" in compare_report(play(*events, Submit(1, {})), 1, 2).text()


def test_unknown_test_is_refused(play: Play, run_test: RunTest) -> None:
    """Either number must be that of a test."""
    with pytest.raises(UsageError, match="There is no test 2"):
        compare_report(play(*run_test(1, "a = 2\n", {"val_loss": 2.5})), 1, 2)
