"""What `linbench bench scaling` answers: tokens/s of one training on one GPU and shared by several."""

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from harness.bench.comparison import Request
from harness.kernel_cache import shared_cache, variables
from harness.launch import child_environment, python_module
from harness.machine import gpu_names
from harness.run_config import RunConfig
from harness.stages import Placement
from sandbox.bench_report import request_for
from sandbox.conditions import Conditions, place
from sandbox.errors import MachineFault
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
            rates = _measure(request, asked.config, count)
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


def _measure(request: Request, config: RunConfig, count: int) -> list[float]:
    """The rates of a training's rounds on so many GPUs."""
    environment = child_environment(config.device)
    if config.device == "cuda":
        environment |= variables(shared_cache(config.device))
    with tempfile.TemporaryDirectory() as folder:
        question = Path(folder, "request.json")
        question.write_bytes(msgspec.json.encode(request))
        command = python_module("harness.bench.rate", str(question))
        if count > 1:
            options = ["--standalone", f"--nproc-per-node={count}", "--max-restarts=0", "-m", "harness.bench.rate"]
            command = python_module("harness.torchrun", *options, str(question))
        ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    if ended.returncode:
        raise MachineFault("the training failed; its last words are above.", run="linbench bench scaling --help")
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=list[float])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    rates = row["tokens_per_second"]
    spread = max(abs(rate / median(rates) - 1) for rate in rates)
    return (row["mechanism"], str(row["gpus"]), f"{median(rates):,.0f} ±{spread:.1%}", f"{row['of_linear']:.3f}")
