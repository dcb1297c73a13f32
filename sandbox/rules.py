"""What a task asks of a model at a profile, and what its run may use, as the preflight is told."""

import hashlib
import subprocess
import tempfile
from pathlib import Path

import msgspec

from harness.files import write_atomically
from harness.launch import child_environment, python_module
from harness.preflight.report import Baselines, Room, Rules
from harness.run_config import RunConfig
from sandbox import __version__
from sandbox.conditions import Conditions
from sandbox.document import Document, Frame
from sandbox.errors import MachineFault
from sandbox.paths import parameter_counts
from sandbox.state import SessionState
from sandbox.tasks import LoadedTask, find_baseline
from sandbox.untouched import same_program

SUBQUADRATIC = 1.8
"""The ceiling of a task that asks for less than the square and does not say how much less."""


def rules_of(state: SessionState, conditions: Conditions) -> Rules:
    """The task's constraints in numbers. Raises MachineFault when its baselines cannot be counted."""
    constraints = state.task.task.constraints
    ceiling = constraints.exponent_ceiling or (SUBQUADRATIC if constraints.subquadratic else None)
    rules = Rules(
        causal=constraints.causal,
        exponent=ceiling,
        untouched=same_program(state.document.text, state.task.template),
    )
    if constraints.parameter_ceiling is None:
        return rules
    name, most = largest_baseline(state.task, conditions.config)
    return msgspec.structs.replace(
        rules,
        parameters=int(constraints.parameter_ceiling * most),
        parameters_from=f"{constraints.parameter_ceiling:g} times the {most:,} of {name}",
    )


def room_of(conditions: Conditions) -> Room:
    """The processes, the hours and the micro-batches of a run."""
    profile, placement = conditions.profile, conditions.placement
    return Room(
        workers=placement.gpus * placement.nodes,
        published_workers=profile.gpus,
        hours=profile.hours_limit,
        halve_micro_batch=profile.halve_micro_batch,
    )


def largest_baseline(loaded: LoadedTask, config: RunConfig) -> tuple[str, int]:
    """The task's baseline with the most parameters at a run config's size, learned positions included.

    Without baselines it is the untouched script. Counted once, in a process of its own, and kept beside the sessions.
    Raises TaskError when a baseline's file is gone, MachineFault when none can be counted.
    """
    sources = baseline_sources(loaded) or {"the untouched script": loaded.template}
    question = msgspec.json.encode(Baselines(sources, config), order="sorted")
    kept = parameter_counts(hashlib.sha256(__version__.encode() + question).hexdigest())
    try:
        counts = msgspec.json.decode(kept.read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError):
        counts = _count(question, config.device)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, msgspec.json.encode(counts).decode())
    return max(counts.items(), key=lambda row: row[1])


def baseline_sources(loaded: LoadedTask) -> dict[str, str]:
    """The template with each baseline in the region that its file's folder is named after."""
    original = Document.original(Frame(loaded.task.file, loaded.task.regions, loaded.template))
    sources = {}
    for baseline in loaded.task.baselines:
        file = find_baseline(loaded, baseline.name)
        index = original.region_named(file.parent.name)
        if index is not None:
            sources[baseline.name] = original.with_content(index, file.read_text(encoding="utf-8")).text
    return sources


def _count(question: bytes, device: str) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder, "baselines.json")
        asked.write_bytes(question)
        command = python_module("harness.preflight.baselines", str(asked))
        ended = subprocess.run(command, env=child_environment(device), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise MachineFault(f"the baselines could not be counted:\n{ended.stderr[-2000:]}", run="linbench check")
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=dict[str, int])
