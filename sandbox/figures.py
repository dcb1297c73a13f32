"""How numbers, times and hashes are written in replies, and which metrics a reader may see."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sandbox.seeds import Spread
from sandbox.state import SessionState, TestState
from sandbox.task_schema import Task
from sandbox.untouched import may_be_submitted

ABSENT = "-"


def number(value: float) -> str:
    """Four decimals for losses and accuracies, two for the larger perplexities."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"


def metric_cells(
    metrics: Mapping[str, float], names: tuple[str, ...], spread: Mapping[str, Spread] = MappingProxyType({})
) -> tuple[str, ...]:
    """One cell a name, with a dash for what was not measured, and the deviation where there are several seeds."""
    return tuple(
        (f"{number(metrics[name])} ±{number(spread[name].deviation)}" if name in spread else number(metrics[name]))
        if name in metrics
        else ABSENT
        for name in names
    )


def scatter(spread: Spread | None) -> str:
    """The deviation over seeds, with the smallest and the largest value; empty for one seed."""
    if spread is None:
        return ""
    return f" ±{number(spread.deviation)} ({number(spread.smallest)} to {number(spread.largest)})"


def duration(seconds: float) -> str:
    """Seconds as 59 s, 3 min 20 s or 5 h 02 min.

    >>> duration(200)
    '3 min 20 s'
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


def seed_words(seeds: Sequence[int]) -> str:
    """One seed or several.

    >>> seed_words((42, 43))
    'seeds 42, 43'
    """
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def short(digest: str) -> str:
    """Enough of a hash to tell two apart."""
    return digest[:12]


def day(time: str) -> str:
    """The date and minute of an ISO 8601 time in UTC."""
    return time[:16].replace("T", " ")


def fact(name: str, value: Any) -> str:
    """The value of a test's fact, with the unit that its name stands for."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ABSENT}[value]
    if isinstance(value, dict):
        return "; ".join(f"{key}: {item}" for key, item in value.items())
    if name == "seconds" or name.endswith("_seconds"):
        return duration(value)
    if name.endswith("_bytes"):
        return f"{value / 2**20:,.0f} MiB"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def metric_names(task: Task) -> tuple[str, ...]:
    """The task's metrics in the order of the leaderboard's columns."""
    return tuple(metric.name for metric in task.metrics)


def hidden_metrics(task: Task) -> tuple[str, ...]:
    """Metrics that are measured only when a test is submitted."""
    return tuple(metric.name for metric in task.metrics if metric.hidden)


def withheld(state: SessionState) -> tuple[str, ...]:
    """Metrics that nobody may see before the session is submitted."""
    return () if state.closed else hidden_metrics(state.task.task)


def visible_metrics(state: SessionState, test: TestState) -> dict[str, float]:
    """What a test was scored with, as far as it may be shown now: the task's metrics first, in their order."""
    measured = test.metrics or {}
    hidden = withheld(state)
    order = [*(name for name in metric_names(state.task.task) if name in measured), *measured]
    return {name: measured[name] for name in dict.fromkeys(order) if name not in hidden}


def visible_by_seed(state: SessionState, test: TestState) -> dict[str, dict[str, float]]:
    """The same of each seed, by its number, where a test has several."""
    hidden = withheld(state)
    return {
        str(seed): {name: value for name, value in found.metrics.items() if name not in hidden}
        for seed, found in test.by_seed.items()
    }


def best_test(state: SessionState) -> TestState | None:
    """The test to submit: the best by the metric that ranks, of those under the session's own profile if there are any.

    Of other profiles' tests, those are left out that another metric ranks than the last one.
    """
    task = state.task.task
    done = [test for test in state.tests.values() if task.ranking(test.profile).name in (test.metrics or {})]
    done = [test for test in done if may_be_submitted(state, test)]
    own = [test for test in done if test.profile == state.start.profile] or done
    if not own:
        return None
    metric = task.ranking(own[-1].profile)
    alike = [test for test in own if task.ranking(test.profile) == metric]
    sign = 1 if metric.direction == "min" else -1
    return min(alike, key=lambda test: sign * (test.metrics or {})[metric.name])
