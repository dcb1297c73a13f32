"""How numbers are written, and what may be seen when."""

from collections.abc import Callable

import pytest
from msgspec import structs

from sandbox.events import Event, Submit
from sandbox.figures import best_test, duration, fact, number, visible_metrics
from sandbox.state import SessionState
from sandbox.tasks import LoadedTask

SCORES = {"extra": 3.0, "secret": 0.9, "val_loss": 2.5}


@pytest.mark.parametrize(
    ("value", "text"), [(2.34812, "2.3481"), (66.671, "66.67"), (0.5, "0.5000"), (12345.678, "12,345.68")]
)
def test_numbers(value: float, text: str) -> None:
    """Losses get four decimals, perplexities two."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (59.96, "1 min 00 s"), (200, "3 min 20 s"), (3599.7, "1 h 00 min"), (18120, "5 h 02 min")],
)
def test_durations(seconds: float, text: str) -> None:
    """Times carry their unit and never show 60 of one."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("parameters", 354823168, "354,823,168"),
        ("seconds", 61.0, "1 min 01 s"),
        ("peak_memory_bytes", 2**30, "1,024 MiB"),
        ("tokens_per_second", 12345.6, "12,346"),
        ("mfu", 0.41234, "0.4123"),
        ("compiled", True, "yes"),
        ("peak_memory_bytes", None, "-"),
        ("gpu", "H200", "H200"),
    ],
)
def test_facts(name: str, value: object, text: str) -> None:
    """A fact is written with the unit that its name stands for."""
    assert fact(name, value) == text


def test_hidden_metrics_show_after_submission_only(
    play: Callable[..., SessionState], run_test: Callable[..., list[Event]]
) -> None:
    """What a task hides is withheld while the session is open and shown once it is closed, the task's metrics first."""
    events = run_test(1, "a = 2\n", SCORES)
    state = play(*events)
    assert list(visible_metrics(state, state.tests[1])) == ["val_loss", "extra"]
    state = play(*events, Submit(1, {}))
    assert list(visible_metrics(state, state.tests[1])) == ["val_loss", "secret", "extra"]


def test_best_test_has_the_lowest_loss(play: Callable[..., SessionState], run_test: Callable[..., list[Event]]) -> None:
    """Failed tests are never best."""
    events = [
        *run_test(1, "a = 2\n", {"val_loss": 2.5}),
        *run_test(2, "a = 3\n", {"val_loss": 2.25}),
        *run_test(3, "a = 4\n", None),
    ]
    best = best_test(play(*events))
    assert best is not None
    assert best.number == 2
    assert best_test(play()) is None


def test_best_test_is_the_best_by_what_ranks_at_its_profile(
    measured_task: LoadedTask, play: Callable[..., SessionState], run_test: Callable[..., list[Event]]
) -> None:
    """At a profile with a ranking metric of its own the loss has no say, and other tests are not measured by it."""
    loss, accuracy, secret = measured_task.task.metrics
    metrics = (loss, structs.replace(accuracy, ranks_at=("recall",)), secret)
    task = structs.replace(measured_task, task=structs.replace(measured_task.task, metrics=metrics))
    events = [
        *run_test(1, "a = 2\n", {"val_loss": 1.0}),
        *run_test(2, "a = 3\n", {"val_loss": 2.5, "accuracy": 0.75}, profile="recall"),
        *run_test(3, "a = 4\n", {"val_loss": 2.0, "accuracy": 0.25}, profile="recall"),
    ]
    for profile, expected in (("recall", 2), ("smoke", 1), ("char-10m", 2)):
        best = best_test(play(*events, task=task, profile=profile))
        assert best is not None
        assert best.number == expected


def test_best_test_is_of_the_sessions_profile(
    play: Callable[..., SessionState], run_test: Callable[..., list[Event]]
) -> None:
    """A lower loss at another size says nothing; it counts only where the session's own profile has no result."""
    other = run_test(1, "a = 2\n", {"val_loss": 1.0}, profile="char-10m")
    best = best_test(play(*other, *run_test(2, "a = 3\n", {"val_loss": 2.0})))
    assert best is not None
    assert best.number == 2
    best = best_test(play(*other))
    assert best is not None
    assert best.number == 1
