"""What a task asks of a model at a profile, and what its run may use, as the preflight is told."""

from harness.preflight.report import Room, Rules
from sandbox.conditions import Conditions
from sandbox.document import Document, Frame
from sandbox.mechanisms import list_mechanisms
from sandbox.paths import templates_dir
from sandbox.state import SessionState
from sandbox.tasks import LoadedTask, find_baseline
from sandbox.untouched import same_program

SUBQUADRATIC = 1.8
"""The ceiling of a task that asks for less than the square and does not say how much less."""


def rules_of(state: SessionState) -> Rules:
    """The task's constraints. Raises TaskError when the file of a baseline is gone."""
    constraints = state.task.task.constraints
    limited = constraints.parameter_ceiling is not None
    return Rules(
        causal=constraints.causal,
        exponent=constraints.exponent_ceiling or (SUBQUADRATIC if constraints.subquadratic else None),
        reference=is_reference(state),
        parameters=constraints.parameter_ceiling,
        baselines=baseline_sources(state.task) if limited else {},
    )


def is_reference(state: SessionState) -> bool:
    """Whether the script is one to compare with: the template, or it with a mechanism of the library too dear to rank.

    Such a script may cost more than the task allows, and cannot be submitted.
    """
    if same_program(state.document.text, state.task.template):
        return True
    original, contents = Document.original(state.document.frame), state.document.contents
    changed = [index for index, content in enumerate(contents) if content != original.contents[index]]
    if len(changed) != 1 or not state.task.task.constraints.subquadratic:
        return False
    quadratic = [mechanism for mechanism in list_mechanisms(templates_dir()) if mechanism.quadratic]
    return any(same_program(contents[changed[0]], mechanism.source) for mechanism in quadratic)


def room_of(conditions: Conditions) -> Room:
    """The processes, the hours and the micro-batches of a run."""
    profile, placement = conditions.profile, conditions.placement
    return Room(
        workers=placement.gpus * placement.nodes,
        published_workers=profile.gpus,
        hours=profile.hours_limit,
        halve_micro_batch=profile.halve_micro_batch,
    )


def baseline_sources(loaded: LoadedTask) -> dict[str, str]:
    """The template with each baseline in the region that its file's folder is named after; alone without baselines."""
    original = Document.original(Frame(loaded.task.file, loaded.task.regions, loaded.template))
    sources = {}
    for baseline in loaded.task.baselines:
        file = find_baseline(loaded, baseline.name)
        index = original.region_named(file.parent.name)
        if index is not None:
            sources[baseline.name] = original.with_content(index, file.read_text(encoding="utf-8")).text
    return sources or {"the untouched script": loaded.template}
