"""How a task is shown."""

import json

import pytest
from msgspec import structs

from sandbox.task_report import task_report, tasks_report
from sandbox.tasks import LoadedTask, list_tasks, load_task


@pytest.mark.parametrize("task_id", list_tasks())
def test_shipped_task_is_shown_in_full(task_id: str) -> None:
    """Description, regions, interface, override keys, metrics, budget, rules, published rows: all are in the reply."""
    loaded = load_task(task_id)
    report = task_report(loaded)
    text = report.text()
    assert loaded.description.strip() in text
    assert loaded.task.interface.strip() in text
    named = [*loaded.task.regions, *loaded.task.metrics, *loaded.task.baselines, *loaded.published]
    assert all(part.name in text for part in named)
    assert all(key in text for key in loaded.task.overrides)
    assert loaded.task.published is not None
    assert loaded.task.published.source in text
    assert "3 tests" in text
    assert "ranks at recall" in text
    assert json.loads(json.dumps(report.data))["id"] == task_id


def test_bare_task_is_shown_without_empty_parts(toy_task: LoadedTask) -> None:
    """A task that says little gets a short page."""
    text = task_report(structs.replace(toy_task, published=())).text()
    assert "Interface" not in text
    assert "CONFIG_OVERRIDES" not in text
    assert "published" not in text


def test_list_has_one_line_a_task(toy_task: LoadedTask) -> None:
    """The list names every task with its budget and its question."""
    report = tasks_report([toy_task, load_task("llm-pretrain-embedding")])
    assert [task["id"] for task in report.data["tasks"]] == ["toy", "llm-pretrain-embedding"]
    assert "llm-pretrain-embedding      3  Find a better way" in report.text()
