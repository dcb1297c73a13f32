"""What a task's constraints come to at a profile."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from harness.preflight.report import Room
from sandbox import rules
from sandbox.conditions import conditions
from sandbox.events import Edit
from sandbox.mechanisms import find_mechanism
from sandbox.paths import templates_dir
from sandbox.rules import baseline_sources, room_of, rules_of
from sandbox.session import Session
from sandbox.task_schema import Constraints
from sandbox.tasks import LoadedTask, load_task


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


def test_constraints_are_handed_over(open_on: Callable[[LoadedTask], Session]) -> None:
    """The ceilings are those of task.yaml; an edit, and no comment, makes the script another one."""
    session = open_on(load_task("llm-pretrain-linear-attention"))
    found = rules_of(session.read())
    assert (found.causal, found.exponent, found.parameters, found.reference) == (True, 1.4, 1.05, True)
    assert list(found.baselines) == ["retnet", "deltanet", "gla"]
    contents = session.read().document.contents
    for old, new, reference in (("class Block", "# of two\nclass Block", True), ("+ self.mlp(", "- self.mlp(", False)):
        with session.transact() as transaction:
            transaction.append(Edit("Replaced.", tuple(content.replace(old, new) for content in contents), True))
        assert rules_of(session.read()).reference is reference


@pytest.mark.parametrize(
    ("key", "change", "reference"),
    [("mha", "", True), ("mla", "# mine\n", True), ("mha", "x = 1\n", False), ("gla", "", False)],
)
def test_a_softmax_of_the_library_is_a_reference(
    open_on: Callable[[LoadedTask], Session], key: str, change: str, reference: bool
) -> None:
    """As it stands in the library it may be trained to compare with; a line more, and it is an edit like any other."""
    session = open_on(load_task("llm-pretrain-linear-attention"))
    text = find_mechanism(key, templates_dir()).path.read_text() + change
    with session.transact() as transaction:
        transaction.append(Edit("Replaced.", (text, *session.read().document.contents[1:]), True))
    assert rules_of(session.read()).reference is reference


def test_a_task_without_ceilings_asks_for_causality_alone(new_session: Callable[..., Session]) -> None:
    """None of the numbers is set, and no baseline is handed over."""
    found = rules_of(new_session().read())
    assert (found.causal, found.exponent, found.parameters, found.baselines) == (True, None, None, {})


@pytest.mark.parametrize(("ceiling", "exponent"), [(1.2, 1.2), (None, rules.SUBQUADRATIC)])
def test_subquadratic_has_a_ceiling_of_its_own(
    toy_task: LoadedTask, open_on: Callable[[LoadedTask], Session], ceiling: float | None, exponent: float
) -> None:
    """A task that only asks for less than the square gets a ceiling that the square cannot pass."""
    constraints = Constraints(subquadratic=True, exponent_ceiling=ceiling)
    asked = structs.replace(toy_task, task=structs.replace(toy_task.task, constraints=constraints))
    assert rules_of(open_on(asked).read()).exponent == exponent


def test_every_baseline_stands_in_its_region(toy_task: LoadedTask) -> None:
    """The shipped tasks' baselines make whole scripts; a task without baselines is measured by its template."""
    for task_id, word in (("llm-pretrain-linear-attention", "fla"), ("llm-pretrain-embedding", "TokenEmbedding")):
        loaded = load_task(task_id)
        sources = baseline_sources(loaded)
        assert list(sources) == [baseline.name for baseline in loaded.task.baselines]
        assert all(word in source and source != loaded.template for source in sources.values())
    assert baseline_sources(toy_task) == {"the untouched script": toy_task.template}


def test_a_run_has_the_room_of_its_profile(toy_task: LoadedTask) -> None:
    """Processes, hours and whether a micro-batch may be halved come from the profile and the placement."""
    room = room_of(conditions(toy_task.task, "smoke", 42, {}))
    assert room == Room(workers=1, published_workers=1, hours=0.5, halve_micro_batch=True)
    assert not room.shared
    assert structs.replace(room, published_workers=2).shared
