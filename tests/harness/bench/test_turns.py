"""harness/bench/turns.py: measurements in turn."""

from collections.abc import Iterator

from harness.bench.turns import medians_in_turn


def test_each_has_its_median_without_the_first_round() -> None:
    """Both are measured once a round, one after the other, and what a cold start costs does not count."""
    order: list[str] = []
    times: dict[str, Iterator[float]] = {"a": iter([99.0, 3.0, 1.0, 2.0]), "b": iter([99.0, 6.0, 5.0, 4.0])}

    def measure(name: str) -> float:
        order.append(name)
        return next(times[name])

    assert medians_in_turn({name: lambda name=name: measure(name) for name in times}, 3) == {"a": 2.0, "b": 5.0}
    assert order == ["a", "b"] * 4
