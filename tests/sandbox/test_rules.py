"""What a task's constraints come to at a profile."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from harness.preflight.report import Room
from sandbox import rules
from sandbox.conditions import conditions
from sandbox.rules import baseline_sources, largest_baseline, room_of, rules_of
from sandbox.session import Session
from sandbox.task_schema import Constraints
from sandbox.tasks import LoadedTask, load_task

SMALL = {"n_layer": "1", "n_embd": "16", "block_size": "32"}


@pytest.fixture
def task(runs: Path) -> LoadedTask:
    """The linear-attention task with one baseline of plain torch."""
    loaded = load_task("llm-pretrain-linear-attention")
    (first, *_) = loaded.task.baselines
    return structs.replace(
        loaded, task=structs.replace(loaded.task, baselines=(structs.replace(first, file="attention/linear.py"),))
    )


@pytest.fixture
def open_on(runs: Path) -> Callable[[LoadedTask], Session]:
    """Opens a session on a task."""

    def create(task: LoadedTask) -> Session:
        options = {
            "agent": "tester",
            "mode": "agent",
            "kind": "agent",
            "profile": "smoke",
            "tests": None,
            "seeds": (42,),
        }
        return Session.create(task, **options, runs=runs)

    return create


def test_constraints_become_numbers(task: LoadedTask, open_on: Callable[[LoadedTask], Session]) -> None:
    """The ceilings are those of task.yaml, the parameters 1.05 times the baseline's; the template is untouched."""
    state, settled = open_on(task).read(), conditions(task.task, "smoke", 42, SMALL)
    found = rules_of(state, settled)
    whole = 256 * 16 + 32 * 16 + 12 * 16 * 16 + 3 * 16
    assert (found.causal, found.exponent, found.untouched) == (True, 1.4, True)
    assert found.parameters == int(1.05 * whole)
    assert found.parameters_from == f"1.05 times the {whole:,} of retnet"


def test_counts_are_kept(task: LoadedTask, monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    """The second time no process is started; other sizes are counted anew, and a torn file is made again."""
    config = conditions(task.task, "smoke", 42, SMALL).config
    first = largest_baseline(task, config)
    (kept,) = (runs / ".baselines").glob("*.json")
    kept.write_bytes(b'{"retnet"')
    assert largest_baseline(task, config) == first
    monkeypatch.setattr(rules, "_count", lambda question, device: {"anew": 1})
    assert largest_baseline(task, config) == first
    assert largest_baseline(task, structs.replace(config, n_embd=32)) == ("anew", 1)


def test_a_task_without_ceilings_asks_for_causality_alone(
    toy_task: LoadedTask, new_session: Callable[..., Session]
) -> None:
    """None of the numbers is set, and nothing is counted."""
    found = rules_of(new_session().read(), conditions(toy_task.task, "smoke", 42, {}))
    assert (found.causal, found.exponent, found.parameters) == (True, None, None)


@pytest.mark.parametrize(("ceiling", "exponent"), [(1.2, 1.2), (None, rules.SUBQUADRATIC)])
def test_subquadratic_has_a_ceiling_of_its_own(
    toy_task: LoadedTask, open_on: Callable[[LoadedTask], Session], ceiling: float | None, exponent: float
) -> None:
    """A task that only asks for less than the square gets a ceiling that the square cannot pass."""
    constraints = Constraints(subquadratic=True, exponent_ceiling=ceiling)
    asked = structs.replace(toy_task, task=structs.replace(toy_task.task, constraints=constraints))
    assert rules_of(open_on(asked).read(), conditions(asked.task, "smoke", 42, {})).exponent == exponent


def test_every_baseline_stands_in_its_region() -> None:
    """The shipped tasks' baselines make whole scripts, each with its own class in the template."""
    for task_id, word in (("llm-pretrain-linear-attention", "fla"), ("llm-pretrain-embedding", "TokenEmbedding")):
        loaded = load_task(task_id)
        sources = baseline_sources(loaded)
        assert list(sources) == [baseline.name for baseline in loaded.task.baselines]
        assert all(word in source and source != loaded.template for source in sources.values())


def test_a_run_has_the_room_of_its_profile(toy_task: LoadedTask) -> None:
    """Processes, hours and whether a micro-batch may be halved come from the profile and the placement."""
    room = room_of(conditions(toy_task.task, "smoke", 42, {}))
    assert room == Room(workers=1, published_workers=1, hours=0.5, halve_micro_batch=True)
    assert not room.shared
    assert structs.replace(room, published_workers=2).shared
