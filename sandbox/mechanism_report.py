"""What `linbench mechanisms` answers: the drop-in mechanisms, with their parameters at a profile's size."""

import json
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from harness.estimates import parameters
from harness.launch import child_environment, python_module
from harness.machine import default_device
from harness.profiles import load_profile, resolve
from harness.run_config import RunConfig, without_paths
from sandbox.errors import MachineFault
from sandbox.mechanisms import Mechanism, list_mechanisms
from sandbox.paths import templates_dir
from sandbox.report import Block, Code, Facts, Heading, Paragraph, Report, Table
from sandbox.tasks import list_tasks, load_task


class Count(msgspec.Struct, frozen=True):
    """A mechanism's model, counted by harness.parameters."""

    key: str
    parameters: int
    ratio: float
    within: bool
    reason: str | None


def mechanisms_report(profile: str) -> Report:
    """All mechanisms, counted at a profile's size. Raises MachineFault when the counting process fails."""
    found = list_mechanisms(templates_dir())
    sizes = _sizes(profile)
    untouched = parameters(sizes) + sizes.block_size * sizes.n_embd
    counts: dict[tuple[str, str], Count] = {}
    blocks: list[Block] = [Heading(f"Mechanisms at {profile}; the untouched model has {untouched:,} parameters")]
    for region in dict.fromkeys(mechanism.region for mechanism in found):
        mine = [mechanism for mechanism in found if mechanism.region == region]
        for row in count([mechanism.path for mechanism in mine], region, profile, untouched):
            counts[region, row.key] = row
        blocks += [Heading(f"region {region}"), _table(mine, counts)]
    reasons = [f"{key}: {row.reason}" for (_, key), row in counts.items() if not row.within]
    if reasons:
        blocks.append(Paragraph("More than 5 % away:\n" + "\n".join(reasons)))
    limits = [f"{mechanism.key}: {mechanism.limits}" for mechanism in found if mechanism.limits]
    if limits:
        blocks.append(Paragraph("* Not everywhere:\n" + "\n".join(limits)))
    quadratic = ", ".join(mechanism.key for mechanism in found if mechanism.quadratic)
    blocks.append(Paragraph(f"For comparison only, where a task asks for less than quadratic cost: {quadratic}."))
    blocks.append(Facts((("next", "linbench mechanisms KEY"), ("", "linbench edit --region attention --from KEY"))))
    rows = [{**_facts(mechanism), **asdict_count(counts[mechanism.region, mechanism.key])} for mechanism in found]
    return Report({"profile": profile, "untouched_parameters": untouched, "mechanisms": rows}, tuple(blocks))


def mechanism_report(mechanism: Mechanism) -> Report:
    """One mechanism: its facts and its source."""
    facts = {key: value for key, value in _facts(mechanism).items() if value and key != "source"}
    pairs = tuple(
        (key.replace("_", " "), value if isinstance(value, str) else ", ".join(value)) for key, value in facts.items()
    )
    use = f"linbench edit --region {mechanism.region} --from {mechanism.key}"
    blocks = (
        Heading(f"{mechanism.key}: {mechanism.title}"),
        Facts(pairs),
        Code(mechanism.source),
        Facts((("next", use),)),
    )
    return Report(_facts(mechanism), blocks)


def count(files: list[Path], region: str, profile: str, reference: int) -> list[Count]:
    """Count the untouched script's model with each file in a region, at a profile's size, in a child process."""
    first, last = region_lines(region)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as sizes:
        json.dump(without_paths(_sizes(profile)), sizes)
        sizes.flush()
        command = python_module("harness.parameters", "--json", "--profile-json", sizes.name)
        command += ["--template", str(templates_dir() / "custom_pretrain.py"), "--lines", f"{first}-{last}"]
        command += ["--reference", str(reference), *map(str, files)]
        environment = child_environment(default_device())
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise MachineFault(
            f"the parameters could not be counted:\n{ended.stderr[-2000:]}", run="linbench mechanisms KEY"
        )
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=list[Count])


def region_lines(region: str) -> tuple[int, int]:
    """Where the region of that name lies in the shipped script."""
    regions = (part for name in list_tasks() for part in load_task(name).task.regions)
    found = next(part for part in regions if part.name == region)
    return found.first, found.last


def _sizes(profile: str) -> RunConfig:
    return resolve(load_profile(profile), seed=0, device=load_profile(profile).devices[0])


def asdict_count(row: Count) -> dict[str, Any]:
    """The figures of a count."""
    return {"model_parameters": row.parameters, "ratio": row.ratio, "reason": row.reason}


def _facts(mechanism: Mechanism) -> dict[str, Any]:
    facts = asdict(mechanism)
    del facts["path"]
    return {**facts, "runs_on": list(mechanism.runs_on)}


def _table(mechanisms: list[Mechanism], counts: dict[tuple[str, str], Count]) -> Table:
    rows = []
    for mechanism in mechanisms:
        row = counts[mechanism.region, mechanism.key]
        figures = (f"{row.parameters / 1e6:,.1f} M", f"{row.ratio - 1:+.1%}")
        runs_on = " ".join(mechanism.runs_on) + ("*" if mechanism.limits else "")
        facts = (mechanism.cost, mechanism.state, runs_on, mechanism.paper.split(",")[0])
        rows.append((mechanism.key, *figures, *facts))
    columns = ("key", "parameters", "change", "cost", "state per layer", "runs on", "paper")
    return Table(columns, tuple(rows), frozenset({"parameters", "change"}))
