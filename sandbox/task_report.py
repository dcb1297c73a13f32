"""What a task asks: the replies of `linbench tasks` and `linbench tasks ID`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from sandbox.leaderboard import published_table
from sandbox.report import Block, Code, Facts, Heading, Paragraph, Report, Table
from sandbox.schema import OverrideKey
from sandbox.task_schema import Metric, Task
from sandbox.tasks import LoadedTask


def tasks_report(tasks: Sequence[LoadedTask]) -> Report:
    """The tasks that ship, one a line."""
    rows = tuple((loaded.task.id, str(loaded.task.budget.tests), loaded.task.title) for loaded in tasks)
    table = Table(("task", "tests", "question"), rows, frozenset({"tests"}))
    hint = Paragraph("next: linbench tasks ID shows one, linbench start ID opens a session on it.")
    data = [{"id": loaded.task.id, "title": loaded.task.title, "tests": loaded.task.budget.tests} for loaded in tasks]
    return Report({"tasks": data}, (table, hint))


def task_report(loaded: LoadedTask) -> Report:
    """One task in full."""
    task = loaded.task
    blocks: list[Block] = []
    if loaded.description:
        blocks.append(Code(loaded.description, "markdown"))
    blocks += [Heading("Regions"), _regions(task)]
    if task.interface:
        blocks += [Heading("Interface"), Code(task.interface)]
    if task.overrides:
        blocks += [Heading("Keys of CONFIG_OVERRIDES"), _overrides(task)]
    blocks += [Heading("Metrics"), _metrics(task), Heading("Conditions"), Facts(_conditions(task))]
    blocks += published_table(loaded)
    blocks.append(Paragraph(f"next: linbench start {task.id}"))
    data: dict[str, Any] = {
        **msgspec.to_builtins(task),
        "description": loaded.description,
        "published_rows": msgspec.to_builtins(loaded.published),
    }
    return Report(data, tuple(blocks))


def _regions(task: Task) -> Table:
    rows = tuple(
        (region.name, f"{region.first}–{region.last}", ", ".join(region.requires), region.about)
        for region in task.regions
    )
    return Table(("region", "lines", "must define", "what it is"), rows)


def _overrides(task: Task) -> Table:
    rows = tuple((name, key.type, _bounds(key), key.about) for name, key in task.overrides.items())
    return Table(("key", "type", "allowed", "what it is"), rows)


def _bounds(key: OverrideKey) -> str:
    if key.choices is not None:
        return ", ".join(map(str, key.choices))
    if key.minimum is not None and key.maximum is not None:
        return f"{key.minimum:g} to {key.maximum:g}"
    if key.minimum is not None:
        return f"{key.minimum:g} or more"
    return "any" if key.maximum is None else f"{key.maximum:g} or less"


def _metrics(task: Task) -> Table:
    rows = tuple(
        (
            metric.name,
            {"min": "lower", "max": "higher"}[metric.direction],
            _shown(metric),
            metric.about,
        )
        for metric in task.metrics
    )
    return Table(("metric", "better", "shown", "what it is"), rows)


def _shown(metric: Metric) -> str:
    if metric.ranks_at:
        return f"ranks at {', '.join(metric.ranks_at)}"
    return "ranks" if metric.primary else "after submission" if metric.hidden else ""


def _conditions(task: Task) -> tuple[tuple[str, str], ...]:
    limits, policy = task.constraints, task.policy
    rules = [
        "causal" if limits.causal else "",
        "subquadratic" if limits.subquadratic else "",
        "" if limits.exponent_ceiling is None else f"cost grows as T^{limits.exponent_ceiling:g} at most",
        "" if limits.parameter_ceiling is None else f"at most {limits.parameter_ceiling:g} x the largest baseline",
    ]
    profiles = task.profiles
    actions = "unlimited edits" if task.budget.actions is None else f"{task.budget.actions} edits"
    return (
        ("budget", f"{task.budget.tests} tests, {actions}"),
        ("seeds", ", ".join(map(str, task.seeds))),
        (
            "profiles",
            f"{profiles.cpu} on a CPU, {profiles.cuda} on CUDA; allowed: {', '.join(profiles.allowed) or 'all'}",
        ),
        ("rules", ", ".join(filter(None, rules))),
        ("imports", "any" if policy is None else ", ".join(policy.imports)),
        ("baselines", ", ".join(baseline.name for baseline in task.baselines) or "none"),
    )
