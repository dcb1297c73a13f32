"""The template's training loop and a plain one in turn in one process: `python -m harness.bench.throughput REQUEST`.

`linbench bench` writes the request and prints the answer as a table; goals are in docs/performance.md.
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import torch
from torch.nn import functional

from harness.bench.breakdown import break_down
from harness.bench.comparison import Answer, LossRow, Request, Speed, SpeedRow
from harness.bench.loops import LOOPS, plain_loop_in_halves, plain_settings, script_of, settings_of, warmed_up
from harness.child import prepare_child
from harness.estimates import tokens_per_step
from harness.precision import autocast

ROUNDS = {"cpu": 9, "cuda": 3}
"""Each loop is timed so often, in turn with the other."""
ROUND_SECONDS = 0.7
"""A round has as many optimizer steps as take about so long, and at least one."""
EVALUATIONS = 3
"""So often the losses are compared."""


def main() -> None:
    """Measure every mechanism; the answer is the last line of stdout."""
    prepare_child()
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    compare = {"speed": compare_speed, "loss": compare_losses, "breakdown": break_down}[request.what]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for path in map(Path, request.mechanisms):
            settings = settings_of(request.config, Path(folder))
            rows.append(compare(path.stem, script_of(request, path), settings, request.steps))
            print(f"linbench: {rows[-1]}", file=sys.stderr, flush=True)
    print(msgspec.json.encode(Answer(**{request.what: tuple(rows)})).decode())


def compare_speed(mechanism: str, script: ModuleType, settings: Any, steps: int | None) -> SpeedRow:
    """Time rounds of both loops in turn."""
    loops = {name: warmed_up(build, script, settings) for name, build in LOOPS.items()}
    held = sum(memory for _, memory in loops.values())
    if steps is None:
        steps = max(1, math.ceil(ROUND_SECONDS / seconds(loops["reference"][0].update, 1)))
    rates: dict[str, list[float]] = {name: [] for name in loops}
    peaks = dict.fromkeys(loops, 0)
    for _ in range(ROUNDS[settings.device]):
        for name, (loop, mine) in loops.items():
            torch.cuda.reset_peak_memory_stats() if settings.device == "cuda" else None
            rates[name].append(steps * tokens_per_step(settings) / seconds(loop.update, steps))
            peaks[name] = max(peaks[name], torch.cuda.max_memory_allocated() - (held - mine))
    measured = (Speed(tuple(rates[name]), peaks[name] or None) for name in ("reference", "template"))
    return SpeedRow(mechanism, *measured)


def compare_losses(mechanism: str, script: ModuleType, settings: Any, steps: int | None) -> LossRow:
    """Train both loops, and the reference in halves, from the same weights over the same batches."""
    total = steps or settings.max_iters
    at = tuple(round(total * number / EVALUATIONS) for number in range(1, EVALUATIONS + 1))
    loops = LOOPS
    if plain_settings(settings).micro_batch_size % 2 == 0:
        loops = {"halves": plain_loop_in_halves, **LOOPS}
    curves: dict[str, list[float]] = {name: [] for name in loops}
    for name, build in loops.items():
        loop = build(script, settings)
        for step in range(1, total + 1):
            loop.update()
            if step in at:
                curves[name].append(held_out_loss(loop, script, settings))
        del loop
    return LossRow(mechanism, at, **{name: tuple(curve) for name, curve in curves.items()})


@torch.no_grad()
def held_out_loss(loop: Any, script: ModuleType, settings: Any) -> float:
    """Mean cross-entropy over eval_iters micro-batches of held-out text."""
    windows = script.TokenWindows(settings.dev_files, settings.block_size, 0)
    size, total = settings.micro_batch_size, 0.0
    loop.model.eval()
    for number in range(settings.eval_iters):
        inputs_BT, targets_BT = windows.batch(number * size, size, torch.device(settings.device))
        with autocast(settings.device, settings.dtype):
            logits_BTV = loop.logits(inputs_BT)
        total += functional.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten()).item()
    loop.model.train()
    return total / settings.eval_iters


def seconds(update: Callable[[], None], steps: int) -> float:
    """Wall time of so many optimizer steps, waited for."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else (lambda: None)
    wait()
    began = time.perf_counter()
    for _ in range(steps):
        update()
    wait()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
