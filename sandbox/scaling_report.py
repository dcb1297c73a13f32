"""What `linbench bench scaling` answers: tokens/s of one training on one GPU and shared by several."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import msgspec

from harness.bench.comparison import Request
from harness.machine import gpu_names
from harness.stages import Placement
from sandbox.bench_process import answers
from sandbox.bench_report import request_for
from sandbox.conditions import Conditions, place
from sandbox.report import Heading, Paragraph, Report, Table


def scaling_report(keys: Sequence[str], counts: Sequence[int], asked: Conditions, say: Callable[[str], None]) -> Report:
    """Train each mechanism on so many GPUs, one number after the other, at the same batch a step.

    On a CPU the numbers are processes. Raises UsageError, or MachineFault when a training fails.
    """
    for count in counts:
        place(asked.profile, asked.config, Placement(count))
    rows = []
    for key in keys:
        request, alone = request_for([key], asked.config), None
        for count in counts:
            rates = _measure(request, count)
            alone = alone or median(rates) / count
            share = median(rates) / count / alone
            say(f"{key} on {count}: {median(rates):,.0f} tokens/s")
            rows.append({"mechanism": key, "gpus": count, "tokens_per_second": rates, "of_linear": share})
    where = gpu_names()[0] if asked.config.device == "cuda" else "processes on a CPU"
    config = asked.config
    heading = Heading(f"One training at {asked.profile.name} on several GPUs")
    note = (
        f"{where}; {config.gradient_accumulation_steps} micro-batches of {config.micro_batch_size} windows a step, "
        "shared out. Medians of rounds, the largest deviation behind ±; of linear: a GPU's rate against that of the "
        "first row."
    )
    columns = ("mechanism", "GPUs", "tokens/s", "of linear")
    table = Table(columns, tuple(map(_cells, rows)), frozenset(columns[1:]))
    return Report({"profile": asked.profile.name, "device": where, "rows": rows}, (heading, table, Paragraph(note)))


def _measure(request: Request, count: int) -> list[float]:
    """The rates of a training's rounds on so many GPUs."""
    *_, last = answers("harness.bench.rate", request, "the training", "bench scaling", processes=count)
    return msgspec.json.decode(last, type=list[float])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    rates = row["tokens_per_second"]
    spread = max(abs(rate / median(rates) - 1) for rate in rates)
    return (row["mechanism"], str(row["gpus"]), f"{median(rates):,.0f} ±{spread:.1%}", f"{row['of_linear']:.3f}")
