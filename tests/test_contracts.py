"""What the parts of the project promise each other: each test here holds two of them together."""

import ast
import inspect
import textwrap
from itertools import pairwise

import pytest
from msgspec.structs import fields

import sandbox.schema
import sandbox.task_schema
from harness.data.entries import entry_for
from harness.data.recall import SIZES
from harness.profiles import load_profile, profile_names, resolve
from harness.run_config import RunConfig
from harness.scoring.metrics import NAMES as METRICS
from harness.scoring.recall import METRICS as RECALL
from sandbox.paths import tasks_dir, templates_dir
from sandbox.tasks import LoadedTask, find_baseline, list_tasks, load_task

TASKS = {
    "llm-pretrain-linear-attention": [("attention", 33, 70), ("block", 88, 100), ("overrides", 246, 248)],
    "llm-pretrain-embedding": [("embedding", 116, 140), ("overrides", 246, 248)],
}


def region_code(loaded: LoadedTask, index: int) -> ast.Module:
    """What stands in a region of the untouched template, as a module of its own."""
    region = loaded.task.regions[index]
    lines = loaded.template.split("\n")[region.first - 1 : region.last]
    return ast.parse(textwrap.dedent("\n".join(lines)))


def definitions(module: ast.Module) -> set[str]:
    """Names of the module's classes and functions, methods with their class in front."""
    names = set()
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{member.name}" for member in node.body if isinstance(member, ast.FunctionDef)}
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
    return names


def test_the_shipped_tasks_are_those_of_the_design() -> None:
    """Each folder below tasks/ is a task, and its regions lie where the design says."""
    assert set(list_tasks()) == set(TASKS)
    for task_id, regions in TASKS.items():
        task = load_task(task_id).task
        assert task.id == task_id
        assert [(region.name, region.first, region.last) for region in task.regions] == regions


@pytest.mark.parametrize("task_id", TASKS)
def test_regions_hold_exactly_their_definitions(task_id: str) -> None:
    """A code region of the template holds one definition, the required one; the other holds CONFIG_OVERRIDES = {}."""
    loaded = load_task(task_id)
    for index, region in enumerate(loaded.task.regions):
        module = region_code(loaded, index)
        if region.kind == "overrides":
            assert ast.unparse(module) == "CONFIG_OVERRIDES = {}"
        else:
            assert len(module.body) == 1
            assert region.requires
            assert set(region.requires) <= definitions(module)


@pytest.mark.parametrize("task_id", TASKS)
def test_untouched_script_passes_the_guards(task_id: str) -> None:
    """A shipped task can be loaded as any folder can, which checks its script with the guards of every edit."""
    assert load_task(str(tasks_dir() / task_id)) == load_task(task_id)


@pytest.mark.parametrize("task_id", TASKS)
def test_default_profiles_exist(task_id: str) -> None:
    """What a task changes about a profile are keys of the run config, and its default on a CPU runs there."""
    profiles = load_task(task_id).task.profiles
    assert "cpu" in load_profile(profiles.cpu).devices
    keys = {field.name for field in fields(RunConfig)}
    assert all(set(values) <= keys for values in profiles.adjust.values())


@pytest.mark.parametrize("task_id", TASKS)
def test_task_can_be_described_and_stored(task_id: str) -> None:
    """A shipped task has a description that names every region, sourced results, and survives a round trip."""
    loaded = load_task(task_id)
    assert all(f"{region.first}-{region.last}" in loaded.description for region in loaded.task.regions)
    assert loaded.task.published is not None
    assert {row.kind for row in loaded.published} >= {"baseline", "agent"}
    assert all(set(row.metrics) == {"val_loss", "wikitext2_ppl", "lambada_ppl"} for row in loaded.published)
    assert {row.name for row in loaded.published if row.kind == "baseline"} == {
        baseline.name for baseline in loaded.task.baselines
    }
    assert LoadedTask.from_json(loaded.to_json()) == loaded


@pytest.mark.parametrize("task_id", TASKS)
def test_every_baseline_is_a_file_for_a_region(task_id: str) -> None:
    """A baseline is found by its name, in the folder that is called as the region that it replaces."""
    loaded = load_task(task_id)
    for baseline in loaded.task.baselines:
        file = find_baseline(loaded, baseline.name)
        assert file.is_file()
        assert file.parent.name in [region.name for region in loaded.task.regions]


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_can_be_scored_and_prepared(name: str) -> None:
    """Scoring knows its metrics, its data set is a known one or the user's own text, and it sets no unknown key."""
    profile = load_profile(name)
    assert set(profile.metrics) <= set(METRICS)
    assert profile.data == "prose" or entry_for(profile.data)
    assert set(profile.model) | set(profile.training) <= {field.name for field in fields(RunConfig)}


@pytest.mark.parametrize("task_id", TASKS)
def test_what_a_profile_measures_has_a_direction(task_id: str) -> None:
    """A task names every metric of the profiles that it allows; one that ranks a profile is measured there."""
    task = load_task(task_id).task
    for name in task.profiles.allowed:
        measured = load_profile(name).metrics
        assert set(measured) <= {metric.name for metric in task.metrics}
        assert task.ranking(name).name in measured
    assert {name for metric in task.metrics for name in metric.ranks_at} <= set(task.profiles.allowed)


def test_a_window_of_the_recall_profile_is_one_sequence_seen_once() -> None:
    """The profile's block size, vocabulary, number of steps and metrics are those of its data set."""
    config, counts = resolve(load_profile("recall"), seed=1, device="cpu"), dict(SIZES.sequences)
    assert config.block_size == SIZES.length
    assert config.vocab_size >= 1 + SIZES.keys + SIZES.values
    assert 0 <= counts["train"] - config.max_iters * config.micro_batch_size < config.micro_batch_size
    assert config.eval_iters * config.micro_batch_size <= counts["dev"]
    assert load_profile("recall").metrics == ("val_loss", *RECALL)


@pytest.mark.parametrize("task_id", TASKS)
def test_override_keys_are_settings_of_the_script(task_id: str) -> None:
    """Every key that CONFIG_OVERRIDES may set is a setting that the template reads, and its comment names them all."""
    loaded = load_task(task_id)
    overrides = next(region for region in loaded.task.regions if region.kind == "overrides")
    comment = "\n".join(loaded.template.split("\n")[overrides.first - 1 : overrides.last])
    for key in loaded.task.overrides:
        assert f"settings.{key}" in loaded.template
        assert key in comment


def test_data_folders_hold_no_python_package() -> None:
    """Tasks and templates are data: nothing in them can be imported as a package."""
    assert not [*tasks_dir().rglob("__init__.py"), *templates_dir().rglob("__init__.py")]


def test_every_key_of_a_task_is_documented() -> None:
    """Whoever writes a task.yaml finds each key explained below its field."""
    for schema in (sandbox.schema, sandbox.task_schema):
        for node in ast.parse(inspect.getsource(schema)).body:
            members = node.body if isinstance(node, ast.ClassDef) else []
            for field, after in pairwise(members):
                assert not isinstance(field, ast.AnnAssign) or isinstance(after, ast.Expr), ast.unparse(field)
