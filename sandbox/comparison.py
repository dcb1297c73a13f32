"""Two tests side by side: what they scored, under which conditions, and how their regions differ."""

import difflib
from typing import Any

from harness.run_config import comparable
from sandbox.document import split_lines
from sandbox.figures import ABSENT, fact, number, short, visible_metrics
from sandbox.report import Block, Code, Heading, Paragraph, Report, Table
from sandbox.state import SessionState, TestState
from sandbox.summary import describe_test, find_test


def compare_report(state: SessionState, first: int, second: int) -> Report:
    """Compare two tests of a session. Raises UsageError for a test that there is not."""
    a, b = find_test(state, first), find_test(state, second)
    differing = _differing_conditions(a, b)
    diffs = region_diffs(state, a, b)
    blocks: list[Block] = [Heading(f"Test {first} and test {second} of {state.start.session}"), _table(state, a, b)]
    if differing:
        blocks.append(Paragraph(f"Not comparable: they differ in {', '.join(differing)}."))
    for name, diff in diffs.items():
        blocks += [Heading(f"region {name}"), Code(diff, "diff")]
    if not diffs:
        blocks.append(Paragraph("Their regions are the same."))
    data = {
        "session": state.start.session,
        "tests": [describe_test(state, a), describe_test(state, b)],
        "comparable": not differing,
        "differing_conditions": differing,
        "differences": _differences(state, a, b),
        "diffs": diffs,
    }
    return Report(data, tuple(blocks))


def region_diffs(state: SessionState, a: TestState, b: TestState) -> dict[str, str]:
    """Unified diffs by region name, for the regions that differ."""
    before, after = state.document_at(a.revision).contents, state.document_at(b.revision).contents
    return {
        region.name: "".join(
            difflib.unified_diff(split_lines(old), split_lines(new), f"test {a.number}", f"test {b.number}")
        )
        for region, old, new in zip(state.frame.regions, before, after, strict=True)
        if old != new
    }


def _differing_conditions(a: TestState, b: TestState) -> list[str]:
    """What stands in the way of reading the difference of two scores as an effect of the edit."""
    data = [(test.facts or {}).get("data_sha256") for test in (a, b)]
    left, right = comparable(a.config), comparable(b.config)
    keys = sorted(key for key in {*left, *right} if left.get(key) != right.get(key))
    profile = ["profile"] if a.profile != b.profile else []
    return [*profile, *(["data"] if None not in data and data[0] != data[1] else []), *keys]


def _differences(state: SessionState, a: TestState, b: TestState) -> dict[str, float]:
    left, right = visible_metrics(state, a), visible_metrics(state, b)
    return {name: right[name] - left[name] for name in left if name in right}


def _table(state: SessionState, a: TestState, b: TestState) -> Table:
    columns = ("", f"test {a.number}", f"test {b.number}" if b is not a else f"test {b.number} again", "difference")
    left, right = visible_metrics(state, a), visible_metrics(state, b)
    rows = [("status", _status(a), _status(b), ""), ("profile", a.profile, b.profile, "")]
    differences = _differences(state, a, b)
    for name in dict.fromkeys([*left, *right]):
        cells = [number(metrics[name]) if name in metrics else ABSENT for metrics in (left, right)]
        rows.append((name, cells[0], cells[1], _verdict(state, name, differences.get(name))))
    for name in _measured(a, b):
        cells = [_fact(test, name) for test in (a, b)]
        rows.append((name.replace("_", " "), cells[0], cells[1], ""))
    return Table(columns, tuple(rows), frozenset(columns[1:3]))


def _status(test: TestState) -> str:
    return f"{test.status} ({test.reason})" if test.status == "invalid" else test.status


def _measured(*tests: TestState) -> list[str]:
    """The facts that are numbers, and which data they come from."""
    facts = {name: value for test in tests for name, value in (test.facts or {}).items()}
    return [name for name, value in facts.items() if isinstance(value, int | float) or name == "data_sha256"]


def _fact(test: TestState, name: str) -> str:
    facts: dict[str, Any] = test.facts or {}
    if name not in facts:
        return ABSENT
    return short(facts[name]) if name == "data_sha256" else fact(name, facts[name])


def _verdict(state: SessionState, name: str, difference: float | None) -> str:
    directions = {metric.name: metric.direction for metric in state.task.task.metrics}
    if difference is None or name not in directions:
        return ""
    if difference == 0:
        return "equal"
    better = (difference < 0) == (directions[name] == "min")
    return f"{difference:+.4f} ({'better' if better else 'worse'})"
