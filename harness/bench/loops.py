"""The two training loops that benchmarks compare, with any mechanism in the script's place."""

import gc
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from harness.bench.comparison import PLAIN_MICRO_BATCH, Request
from harness.bench.reference import ReferenceLoop
from harness.parameters import splice
from harness.run_config import RunConfig
from harness.script import define_script

RANDOM_BATCHES = 64
"""Micro-batches of random tokens, where a config names no data."""
WARM_UP = 2
"""Optimizer steps in which kernels are compiled and chosen."""


class TemplateLoop:
    """The script's own training, without what it writes; `update` is one optimizer step."""

    def __init__(self, script: ModuleType, settings: Any):
        handler = signal.getsignal(signal.SIGTERM)
        self.training = script.Training(settings)
        signal.signal(signal.SIGTERM, handler)  # the script's would keep the training in memory
        self.model, self.update = self.training.model, self.training.update

    def logits(self, idx_BT: Tensor) -> Tensor:
        """The model's answer: (B, T) -> (B, T, V)."""
        logits_BTV: Tensor = self.model(idx_BT)[0]
        return logits_BTV


def plain_loop(script: ModuleType, settings: Any) -> ReferenceLoop:
    """The reference, at the same batch in micro-batches of its own size."""
    return ReferenceLoop(script, plain_settings(settings))


def plain_loop_in_halves(script: ModuleType, settings: Any) -> ReferenceLoop:
    """The reference in micro-batches of half that size."""
    return ReferenceLoop(script, _halved(plain_settings(settings)))


def plain_settings(settings: Any) -> Any:
    """The same batch in micro-batches that a plain loop takes."""
    while settings.micro_batch_size > PLAIN_MICRO_BATCH and settings.micro_batch_size % 2 == 0:
        settings = _halved(settings)
    return settings


def _halved(settings: Any) -> SimpleNamespace:
    size, steps = settings.micro_batch_size // 2, settings.gradient_accumulation_steps * 2
    return SimpleNamespace(**{**vars(settings), "micro_batch_size": size, "gradient_accumulation_steps": steps})


LOOPS: dict[str, Callable[[ModuleType, Any], Any]] = {"reference": plain_loop, "template": TemplateLoop}


def warmed_up(build: Callable[[ModuleType, Any], Any], script: ModuleType, settings: Any) -> tuple[Any, int]:
    """A loop after its first steps, and the bytes of GPU memory that it holds between two steps.

    Its weights are drawn on its device, which takes no time there.
    """
    gc.collect()
    before = torch.cuda.memory_allocated()
    with torch.device(settings.device):
        loop = build(script, settings)
    for _ in range(WARM_UP):
        loop.update()
    return loop, torch.cuda.memory_allocated() - before


def script_of(request: Request, mechanism: Path) -> ModuleType:
    """The script with a mechanism in its place, as a module."""
    return define_script(spliced(request, mechanism), f"custom_pretrain_{mechanism.stem}.py")


def spliced(request: Request, mechanism: Path) -> str:
    """The text of the script with a mechanism in its place."""
    template = Path(request.template).read_text(encoding="utf-8")
    return splice(template, mechanism.read_text(encoding="utf-8"), *request.lines)


def settings_of(config: RunConfig, folder: Path) -> SimpleNamespace:
    """The config as the script reads it, writing to `folder`; random tokens where it names no data."""
    paths: dict[str, Any] = {"metrics_file": f"{folder}/metrics.jsonl", "checkpoint_file": f"{folder}/ckpt.pt"}
    if not config.train_files:
        file = folder / "random.bin"
        count = RANDOM_BATCHES * config.micro_batch_size * config.block_size + 1
        np.random.default_rng(0).integers(config.vocab_size, size=count, dtype=np.uint16).tofile(file)
        paths.update(train_files=[str(file)], dev_files=[str(file)])
    return SimpleNamespace(**{**msgspec.structs.asdict(config), **paths})
