"""Loading task folders: toy tasks in a temporary folder, lawful and unlawful."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import TaskError, UsageError
from sandbox.tasks import LoadedTask, find_baseline, list_tasks, load_task

SCRIPT = "import math\n\ndef f(x):\n    return x\n\nprint(f(1))\n"
YAML = """\
id: toy
template: toy.py
file: code/toy.py
regions:
  - {name: body, first: 3, last: 4, requires: [f]}
"""
MakeTask = Callable[..., Path]


@pytest.fixture
def make_task(tmp_path: Path) -> MakeTask:
    """A function that writes a toy task folder from its files."""

    def make(yaml: str = YAML, script: bytes = SCRIPT.encode(), **files: str) -> Path:
        folder = tmp_path / "toy"
        folder.mkdir(exist_ok=True)
        (folder / "task.yaml").write_text(yaml)
        (folder / "toy.py").write_bytes(script)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        return folder

    return make


def test_minimal_folder_loads(make_task: MakeTask) -> None:
    """Id, template, file and regions are enough; the rest has defaults."""
    loaded = load_task(str(make_task()))
    assert loaded.template == SCRIPT
    assert [(region.first, region.last, region.kind) for region in loaded.task.regions] == [(3, 4, "code")]
    assert loaded.task.budget.tests == 3
    assert loaded.task.primary.name == "val_loss"
    assert loaded.description == ""
    assert loaded.published == ()


def test_round_trips_through_json_without_its_folder(make_task: MakeTask) -> None:
    """A session can keep the whole task in one line of JSON, after which the folder may go."""
    yaml = YAML + "published: {source: A paper, profile: p}\nprofiles: {adjust: {p: {n: 1, f: 0.5, l: [a, null]}}}\n"
    loaded = load_task(str(make_task(yaml, description_md="Why?\n", published_csv="name,kind,val_loss\na,agent,2.5\n")))
    text = loaded.to_json()
    assert "\n" not in text
    assert LoadedTask.from_json(text) == loaded
    assert loaded.description == "Why?\n"
    assert loaded.published[0].metrics == {"val_loss": 2.5}


def test_template_falls_back_to_the_shared_ones(make_task: MakeTask) -> None:
    """A template that is not in the task folder is looked up among those that ship."""
    loaded = load_task(str(make_task(YAML.replace("toy.py", "attention/linear.py", 1).replace(", requires: [f]", ""))))
    assert "class CausalSelfAttention" in loaded.template


def test_baseline_is_found_in_the_task_folder_first(make_task: MakeTask) -> None:
    """A baseline's file comes from baselines/, else from templates/; a missing one and an unknown name say so."""
    names = "baselines: [{name: a, file: attention/linear.py}, {name: b, file: gone.py}]\n"
    folder = make_task(YAML + names)
    loaded = load_task(str(folder))
    assert "templates" in str(find_baseline(loaded, "a"))
    own = folder / "baselines" / "attention" / "linear.py"
    own.parent.mkdir(parents=True)
    own.write_text("pass\n")
    assert find_baseline(loaded, "a") == own
    with pytest.raises(TaskError, match="in neither place"):
        find_baseline(loaded, "b")
    with pytest.raises(UsageError, match="no baseline 'c' in toy"):
        find_baseline(loaded, "c")


def test_unknown_task_suggests_the_nearest() -> None:
    """A mistyped id is answered with the id that was probably meant, and the command that lists them."""
    with pytest.raises(UsageError, match="Did you mean 'llm-pretrain-embedding'") as caught:
        load_task("llm-pretrain-embeding")
    assert caught.value.run == "linbench tasks"
    assert "llm-pretrain-embedding" in list_tasks()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("last: 4", "last: 2", "regions[0]"),
        ("last: 4", "last: 7", "ends after line 6"),
        ("first: 3", "first: 0", "regions[0]"),
        ("first: 3", "frist: 3", "regions[0]: unknown key 'frist'. Did you mean 'first'?"),
        (
            "last: 4, requires: [f]}",
            "last: 4}\n  - {name: more, first: 4, last: 5}",
            "must lie below 'body', which ends at line 4",
        ),
        ("last: 4, requires: [f]}", "last: 4}\n  - {name: body, first: 5, last: 5}", "the name body is used twice"),
        ("id: toy", "id: ../toy", "id '../toy' is not a plain name"),
        ("id: toy", "", "the key 'id' is missing"),
        ("template: toy.py", "template: toi.py", "no file 'toi.py' in"),
        ("requires: [f]", "requires: [g]", "must define 'g', which is missing"),
        (
            "last: 4, requires: [f]}",
            "last: 4}\n  - {name: o, first: 5, last: 5, kind: overrides}",
            "breaks the task's own rules: ",
        ),
        ("id: toy", "id: toy\nmetrics: []", "0 are primary"),
        (
            "id: toy",
            "id: toy\nmetrics: [{name: a, direction: min, primary: true, ranks_at: [p]}, "
            "{name: b, direction: max, ranks_at: [p]}]",
            "two of them rank at one of p, p",
        ),
        ("id: toy", "id: toy\nmetrics: [{name: a, direction: up}]", "metrics[0].direction: Invalid enum value 'up'"),
        ("id: toy", "id: toy\nbudget: {tests: 0}", "budget: tests is 0"),
        ("id: toy", "id: toy\nprofiles: {allowed: [smoke]}", "cuda: 'gpt-345m' is not in allowed (smoke)"),
        ("id: toy", "id: toy\noverrides: {lr: {type: flaot}}", "overrides.lr.type: Invalid enum value 'flaot'"),
        ("id: toy", "id: toy\noverrides: {lr: {type: float}}", "overrides needs a region of kind overrides"),
        ("id: toy", "id: toy\nconstraints: {parameter_ceiling: -1}", "parameter_ceiling is -1"),
    ],
)
def test_unlawful_yaml_is_refused(make_task: MakeTask, tmp_path: Path, before: str, after: str, message: str) -> None:
    """A mistake in task.yaml is refused with its path."""
    with pytest.raises(TaskError) as caught:
        load_task(str(make_task(YAML.replace(before, after))))
    assert str(tmp_path) in caught.value.message
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (b"x = 1\r\n" * 6, "line 1: a carriage return"),
        (b"x = '\xff'\n" * 6, "not UTF-8: byte 5 is 0xff"),
        (b"x = (\n" * 6, "not a Python script"),
        (b"x = 1\0\n" * 6, "not a Python script"),
    ],
)
def test_unlawful_template_is_refused(make_task: MakeTask, script: bytes, message: str) -> None:
    """A template that could not be edited faithfully is refused, saying why."""
    with pytest.raises(TaskError) as caught:
        load_task(str(make_task(script=script)))
    assert message in caught.value.message


def test_published_rows_need_a_source(make_task: MakeTask) -> None:
    """Results of others are not shown without saying whose they are."""
    with pytest.raises(TaskError, match="'published' is missing"):
        load_task(str(make_task(published_csv="name,kind,val_loss\n")))


def test_folder_without_task_file_is_refused(tmp_path: Path) -> None:
    """A folder that is no task names the file that it lacks."""
    with pytest.raises(TaskError, match=r"task\.yaml: cannot be read: No such file"):
        load_task(str(tmp_path))
