"""What `linbench bench throughput` answers: both training loops side by side, in speed or in loss."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Literal

import msgspec

from harness.bench.comparison import PLAIN_MICRO_BATCH, Answer, LossRow, Request, Speed, SpeedRow
from harness.estimates import tokens_per_step, utilisation
from harness.machine import gpu_names
from harness.run_config import RunConfig
from sandbox.bench_process import answers
from sandbox.conditions import Conditions, open_data
from sandbox.errors import UsageError
from sandbox.figures import ABSENT
from sandbox.mechanism_report import region_lines
from sandbox.mechanisms import find_mechanism
from sandbox.paths import templates_dir
from sandbox.report import Block, Heading, Paragraph, Report, Table

REGION = "attention"
What = Literal["speed", "loss", "breakdown"]


def request_for(keys: Sequence[str], config: RunConfig, what: What = "speed", steps: int | None = None) -> Request:
    """The request about mechanisms by key. Raises UsageError for an unknown one."""
    files = tuple(str(find_mechanism(key, templates_dir(), REGION).path) for key in keys)
    template, lines = str(templates_dir() / "custom_pretrain.py"), region_lines(REGION)
    return Request(template=template, lines=lines, mechanisms=files, config=config, what=what, steps=steps)


def throughput_report(keys: Sequence[str], asked: Conditions, steps: int | None) -> Report:
    """Measure tokens/s of both loops with each mechanism. Raises UsageError, or MachineFault when the child fails."""
    rows = _answer(request_for(keys, asked.config, "speed", steps)).speed
    gpus = gpu_names()[:1] if asked.config.device == "cuda" else []
    columns = ("mechanism", "reference tokens/s", "template tokens/s", "ratio", "MFU", "reference MiB", "template MiB")
    shown = tuple(_speed_row(row, asked.config, gpus) for row in rows)
    where = gpus[0] if gpus else "CPU"
    note = (
        f"{where}, {asked.config.dtype}; micro-batches of {asked.config.micro_batch_size} windows (the plain loop's: "
        f"at most {PLAIN_MICRO_BATCH}) of {asked.config.block_size} tokens, {tokens_per_step(asked.config):,} tokens a "
        "step. Medians of rounds in turn, the largest deviation behind ±."
    )
    heading = Heading(f"The template's loop and a plain one at {asked.profile.name}")
    data = {"profile": asked.profile.name, "device": where, "rows": [_facts(row, asked.config, gpus) for row in rows]}
    return Report(data, (heading, Table(columns, shown, frozenset(columns[1:])), Paragraph(note)))


def loss_report(keys: Sequence[str], asked: Conditions, dataset: str, steps: int, seeds: Sequence[int]) -> Report:
    """Compare the losses of both loops on a data set, by seed. Raises as `throughput_report`, or for missing data."""
    data = open_data(replace(asked, profile=msgspec.structs.replace(asked.profile, data=dataset)))
    files = {"train_files": tuple(map(str, data.train_files)), "dev_files": tuple(map(str, data.dev_files))}
    rows = []
    for seed in seeds:
        config = msgspec.structs.replace(asked.config, **files, seed=seed)
        rows += [(seed, row) for row in _answer(request_for(keys, config, "loss", steps)).loss]
    columns = ("mechanism", "seed", "step", "reference loss", "template loss", "difference", "noise")
    shown = tuple(cells for seed, row in rows for cells in _loss_rows(seed, row))
    heading = Heading(f"Loss on held-out text of {data.name} after the same steps at {asked.profile.name}")
    found = [{"seed": seed, **msgspec.to_builtins(row)} for seed, row in rows]
    facts = {"profile": asked.profile.name, "data": data.name, "rows": found}
    note = "noise: the reference trained on the same batches in twice as many micro-batches, minus the reference."
    return Report(facts, (heading, Table(columns, shown, frozenset(columns[1:])), Paragraph(note)))


def breakdown_report(keys: Sequence[str], asked: Conditions) -> Report:
    """Take a step of both loops apart by kernels. Raises UsageError on a machine without a GPU."""
    if asked.config.device != "cuda":
        raise UsageError("kernels are those of a GPU, and this machine has none.", run="linbench bench throughput")
    rows = _answer(request_for(keys, asked.config, "breakdown")).breakdown
    columns = ("kernels", "reference ms", "template ms")
    blocks: list[Block] = []
    for row in rows:
        kinds = sorted({*row.reference, *row.template}, key=lambda kind: -row.reference.get(kind, 0.0))
        times = [(kind, row.reference.get(kind, 0.0), row.template.get(kind, 0.0)) for kind in kinds]
        times.append(("together", sum(row.reference.values()), sum(row.template.values())))
        shown = tuple((kind, f"{before:.1f}", f"{after:.1f}") for kind, before, after in times)
        blocks += [Heading(f"32,768 tokens of {row.mechanism} at {asked.profile.name}")]
        blocks += [Table(columns, shown, frozenset(columns[1:]))]
    return Report({"profile": asked.profile.name, "rows": msgspec.to_builtins(rows)}, tuple(blocks))


def _answer(request: Request) -> Answer:
    *_, last = answers("harness.bench.throughput", request, "the comparison", "bench throughput")
    return msgspec.json.decode(last, type=Answer)


def _speed_row(row: SpeedRow, config: RunConfig, gpus: list[str]) -> tuple[str, ...]:
    facts = _facts(row, config, gpus)
    memory = (f"{each.peak_memory_bytes / 2**20:,.0f}" if each.peak_memory_bytes else ABSENT for each in _both(row))
    mfu = ABSENT if facts["mfu"] is None else f"{facts['mfu']:.3f}"
    return (row.mechanism, *map(_rate, _both(row)), f"{facts['ratio']:.2f}", mfu, *memory)


def _rate(speed: Speed) -> str:
    middle = median(speed.tokens_per_second)
    spread = max(abs(rate / middle - 1) for rate in speed.tokens_per_second)
    return f"{middle:,.0f} ±{spread:.1%}"


def _both(row: SpeedRow) -> tuple[Speed, Speed]:
    return row.reference, row.template


def _facts(row: SpeedRow, config: RunConfig, gpus: list[str]) -> dict[str, Any]:
    mfu = utilisation(config, median(row.template.tokens_per_second), gpus)
    return {**msgspec.to_builtins(row), "ratio": row.ratio, "mfu": mfu}


def _loss_rows(seed: int, row: LossRow) -> list[tuple[str, ...]]:
    losses = zip(row.steps, row.reference, row.template, row.halves or [None] * len(row.steps), strict=True)
    return [
        (
            row.mechanism,
            str(seed),
            str(step),
            f"{reference:.5f}",
            f"{template:.5f}",
            f"{template - reference:+.5f}",
            ABSENT if halves is None else f"{halves - reference:+.5f}",
        )
        for step, reference, template, halves in losses
    ]
