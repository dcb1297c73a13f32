"""What a session and one of its tests come to: the replies of `linbench status` and `linbench runs`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.metrics import Evaluation, metric_name
from sandbox.document import format_ranges
from sandbox.errors import UsageError
from sandbox.figures import (
    ABSENT,
    best_test,
    day,
    fact,
    metric_cells,
    number,
    scatter,
    seed_words,
    short,
    visible_by_seed,
    visible_metrics,
    withheld,
)
from sandbox.report import Block, Code, Facts, Heading, Paragraph, Report, Table
from sandbox.seeds import spreads
from sandbox.sparkline import sparkline
from sandbox.state import SessionState, TestState


def find_test(state: SessionState, number: int) -> TestState:
    """A test by its number. Raises UsageError naming the tests that there are."""
    if number in state.tests:
        return state.tests[number]
    where = f" The session is {state.start.session}."
    if not state.tests:
        raise UsageError(f"There is no test {number}: nothing was tested yet.{where}", run="linbench test")
    closest = min(state.tests, key=lambda other: abs(other - number))
    numbers = ", ".join(map(str, state.tests))
    raise UsageError(f"There is no test {number}. There are: {numbers}.{where}", run=f"linbench runs {closest}")


def status_report(state: SessionState, running: str | None = None) -> Report:
    """Where a session stands: its script, its budget, its tests, and the commands that make sense now.

    `running` names the process that works on the open test at this moment; None means that it was interrupted.
    """
    commands = next_commands(state) if running is None else ["linbench status"]
    blocks: list[Block] = [Heading(f"Session {state.start.session}"), Facts(_session_facts(state))]
    if state.tests:
        blocks.append(table_of_tests(state))
    if state.open_test is not None:
        told = "was interrupted; resuming it costs nothing" if running is None else f"is running: {running}"
        blocks.append(Paragraph(f"Test {state.open_test.number} {told}."))
    if hidden := withheld(state):
        blocks.append(Paragraph(f"Withheld until the session is submitted: {', '.join(hidden)}."))
    blocks.append(Facts(tuple(("next" if index == 0 else "", line) for index, line in enumerate(commands))))
    return Report({**_status_data(state, commands), "running": running}, tuple(blocks))


def table_of_tests(state: SessionState) -> Table:
    """One line a test, with the metrics that any test shows."""
    visible = {test.number: visible_metrics(state, test) for test in state.tests.values()}
    names = tuple(dict.fromkeys(name for metrics in visible.values() for name in metrics))
    best = best_test(state)
    rows = tuple(
        (
            str(test.number),
            _status(state, test),
            test.profile,
            str(test.revision),
            *metric_cells(visible[test.number], names),
            test.reason or ("best" if best is test and len(state.tests) > 1 else ""),
        )
        for test in state.tests.values()
    )
    return Table(("test", "status", "profile", "revision", *names, ""), rows, frozenset({"test", "revision", *names}))


def _status(state: SessionState, test: TestState) -> str:
    return "final" if state.submitted == test.number else test.status


def _session_facts(state: SessionState) -> tuple[tuple[str, str], ...]:
    start = state.start
    refunds = f", {state.refunds} refunded" if state.refunds else ""
    budget = f"{state.budget_left} of {start.tests} left{refunds}"
    whole = "" if state.whole else ", not whole yet"
    actions = () if state.actions_left is None else (("edits", f"{state.actions_left} left"),)
    return (
        ("task", start.task.task.id),
        ("agent", f"{start.agent} ({start.mode} mode)"),
        ("profile", f"{start.profile}, {seed_words(start.all_seeds)}"),
        ("state", f"closed: test {state.submitted} is final" if state.closed else "open"),
        ("script", f"{start.task.task.file}, revision {state.revision}{whole}"),
        ("editable", format_ranges(state.document.ranges)),
        ("history", f"{state.undoable} to undo, {state.redoable} to redo"),
        *actions,
        ("tests", budget),
    )


def next_commands(state: SessionState) -> list[str]:
    """The commands that bring a session forward, the most likely one first."""
    if state.closed:
        return [
            f"linbench leaderboard {state.start.task.task.id}",
            f"linbench runs {state.submitted}",
            "linbench start",
        ]
    resume = ["linbench test --resume"]
    stopped = [test.number for test in state.tests.values() if test.resumable]
    commands = list(resume) if state.open_test is not None or stopped[-1:] == [len(state.tests)] else []
    if state.budget_left and state.open_test is None:
        edit = f"linbench edit --range {state.document.ranges[0].option}"
        ready = ["linbench check", "linbench test"] if state.whole else ["linbench check"]
        commands += [edit, *ready] if state.revision == 0 or not state.whole else [*reversed(ready), edit]
    if stopped and commands[:1] != resume:  # an older one, of a script that has been left behind
        commands += resume
    if (best := best_test(state)) is not None:
        commands.append(f"linbench submit {best.number}")
    return commands or ["linbench start"]


def _status_data(state: SessionState, commands: list[str]) -> dict[str, Any]:
    start, document = state.start, state.document
    regions = zip(state.frame.regions, document.ranges, strict=True)
    return {
        "session": start.session,
        "task": start.task.task.id,
        "agent": start.agent,
        "mode": start.mode,
        "kind": start.kind,
        "profile": start.profile,
        "seed": start.seed,
        "seeds": list(start.all_seeds),
        "began": state.began,
        "closed": state.closed,
        "submitted": state.submitted,
        "file": start.task.task.file,
        "revision": state.revision,
        "whole": state.whole,
        "source_sha256": document.revision_sha(),
        "regions": [{"name": region.name, "first": lines.first, "last": lines.last} for region, lines in regions],
        "total_lines": document.total,
        "undoable": state.undoable,
        "redoable": state.redoable,
        "actions_left": state.actions_left,
        "budget": {"tests": start.tests, "left": state.budget_left, "refunded": state.refunds},
        "tests": [describe_test(state, test) for test in state.tests.values()],
        "next": commands,
    }


def describe_test(state: SessionState, test: TestState) -> dict[str, Any]:
    """What is known of a test, without what the task withholds."""
    return {
        "test": test.number,
        "status": test.status,
        "final": state.submitted == test.number,
        "profile": test.profile,
        "seed": test.seed,
        "seeds": list(test.all_seeds),
        "by_seed": visible_by_seed(state, test),
        "revision": test.revision,
        "began": test.began,
        "ended": test.ended,
        "resumes": test.resumes,
        "resumable": test.resumable,
        "metrics": visible_metrics(state, test),
        "withheld": list(withheld(state)),
        "facts": test.facts or {},
        "source_sha256": test.source_sha256,
        "config_sha256": test.config_sha256,
        "reason": test.reason,
        "detail": test.detail,
    }


def run_report(state: SessionState, number: int, curve: Sequence[Evaluation] = ()) -> Report:
    """One test in full, with its loss curve and, where it failed, why and where in the agent's script.

    Raises UsageError for a test that there is not.
    """
    test = find_test(state, number)
    facts = dict(test.facts or {})
    message, traceback = facts.pop("message", test.detail), facts.pop("traceback", "")
    blocks: list[Block] = [Heading(f"Test {number} of {state.start.session}: {_status(state, test)}")]
    blocks.append(Facts((*_metric_facts(state, test), *_curve_facts(curve), *_run_facts(test, facts))))
    if test.reason:
        blocks.append(Paragraph(": ".join(filter(None, [test.reason, message]))))
    if traceback:
        blocks.append(Code(traceback))
    described = describe_test(state, test)
    return Report({"session": state.start.session, **described, "curve": msgspec.to_builtins(curve)}, tuple(blocks))


def _metric_facts(state: SessionState, test: TestState) -> list[tuple[str, str]]:
    about = {metric.name: metric.about for metric in state.task.task.metrics}
    shown = visible_metrics(state, test)
    scattered = spreads(list(visible_by_seed(state, test).values()))
    width = max((len(number(value)) for value in shown.values()), default=0)
    return [
        (
            metric_name(name, test.profile),
            f"{number(value):>{width}}{scatter(scattered.get(name))}  {about.get(name, '')}".rstrip(),
        )
        for name, value in shown.items()
    ]


def _curve_facts(curve: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """The loss on held-out training text, drawn over the steps; the score above comes from another text."""
    losses = [evaluation.val_loss for evaluation in curve]
    if not losses:
        return []
    span = f"{number(losses[0])} to {number(losses[-1])} over {curve[-1].step:,} steps"
    return [("loss curve", f"{sparkline(losses)}  {span}")]


def _run_facts(test: TestState, facts: dict[str, Any]) -> list[tuple[str, str]]:
    hashes = {name: value for name, value in facts.items() if name.endswith("_sha256")}
    hashes |= {"source_sha256": test.source_sha256, "config_sha256": test.config_sha256}
    measured = ((name, value) for name, value in facts.items() if name not in hashes)
    ended = day(test.ended) if test.ended else ABSENT
    return [
        ("profile", f"{test.profile}, {seed_words(test.all_seeds)}, revision {test.revision}"),
        ("ran", f"{day(test.began)} to {ended}{_resumed(test)}"),
        *((name.removesuffix("_bytes").replace("_", " "), fact(name, value)) for name, value in measured),
        ("sha256", ", ".join(f"{name.removesuffix('_sha256')} {short(value)}" for name, value in hashes.items())),
    ]


def _resumed(test: TestState) -> str:
    """A script that behaves differently each time it is resumed would show here."""
    return f", resumed {test.resumes} time(s)" if test.resumes else ""
