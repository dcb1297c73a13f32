"""Will the run fit: peak memory and hours, from a few measured steps of the whole model at the profile's micro-batch.

A CPU that would take long over a micro-batch is timed with one window. Evaluations count as forward passes.
"""

import math
import resource
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from harness.isolation.confinement import limits
from harness.precision import autocast
from harness.preflight.found import CheckFailed, Found
from harness.preflight.report import Room
from harness.preflight.subject import Subject

MICRO_STEPS = 3
"""Forward and backward passes that are timed, after one that warms up."""

CPU_SECONDS = 2.0
"""A micro-batch that takes longer on a CPU is not measured whole."""

GIB = 2**30

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Measured:
    """A few steps at one size of micro-batch."""

    micro_batch_size: int
    micro_seconds: float
    """Of one forward and backward pass: the fastest, for other work may share the device."""
    optimizer_seconds: float
    memory_bytes: int
    """Peak, of the GPU or of the process."""


def check_fit(subject: Subject, room: Room) -> Found:
    """Predicted memory and hours. Raises CheckFailed when the run cannot fit or outlives the profile's time."""
    settings = subject.settings
    torch.set_float32_matmul_precision("high")
    model = subject.build(settings).train()
    if subject.on_gpu:
        use_kernels(subject.script, model)
    optimizer = _optimizer(model, settings)
    measured = _measure(subject, model, optimizer, room)
    hours = predicted_hours(measured, settings, room.workers)
    memory, capacity = predicted_memory(measured, settings, subject.on_gpu), _capacity(subject.on_gpu)
    figures = {**asdict(measured), "hours": hours, "predicted_memory_bytes": memory, "capacity_bytes": capacity}
    said = (
        f"about {_duration(hours)} on {_devices(subject.on_gpu, room.workers)}, peak memory {memory / GIB:.1f} of "
        f"{capacity / GIB:.1f} GiB, from {MICRO_STEPS} measured steps"
    )
    if room.hours is not None and hours > room.hours:
        raise CheckFailed(f"{said}; the profile ends a training after {_duration(room.hours)}", figures)
    if memory > capacity:
        raise CheckFailed(f"{said}: it does not fit; {_smaller(settings)}", figures)
    warnings: list[str] = []
    if measured.micro_batch_size < settings.micro_batch_size and subject.on_gpu:
        warnings.append(
            f"out of memory at micro-batches of {settings.micro_batch_size}; {measured.micro_batch_size} fit, and the "
            "run takes them by itself"
        )
    return Found(said, figures, tuple(warnings))


def predicted_hours(measured: Measured, settings: Any, workers: int) -> float:
    """Of the whole training: its steps, and its evaluations at a third of a step's cost, shared out among workers."""
    windows = settings.micro_batch_size * settings.gradient_accumulation_steps / workers
    window_seconds = measured.micro_seconds / measured.micro_batch_size
    training = settings.max_iters * (windows * window_seconds + measured.optimizer_seconds)
    evaluations = math.ceil(settings.max_iters / settings.eval_interval)
    evaluation = evaluations * settings.eval_iters * settings.micro_batch_size / workers * window_seconds / 3
    return (training + evaluation) / 3600


def predicted_memory(measured: Measured, settings: Any, on_gpu: bool) -> int:
    """The peak as measured; a CPU that was asked for fewer windows needs that many times the activations."""
    if on_gpu:
        return measured.memory_bytes
    more = settings.micro_batch_size - measured.micro_batch_size
    logits = 4 * settings.block_size * settings.vocab_size
    activations = 4 * settings.block_size * settings.n_layer * 34 * settings.n_embd
    return measured.memory_bytes + more * (2 * logits + activations)


def _measure(subject: Subject, model: Any, optimizer: torch.optim.Optimizer, room: Room) -> Measured:
    """Steps at the profile's micro-batch; at half of it, and so on, where memory ends and a run would do so too."""
    size = subject.settings.micro_batch_size
    if not subject.on_gpu and _steps(subject, model, optimizer, 1, repeats=1).micro_seconds * size > CPU_SECONDS:
        return _steps(subject, model, optimizer, 1)
    while True:
        try:
            return _steps(subject, model, optimizer, size)
        except torch.OutOfMemoryError:
            if size % 2 or not room.halve_micro_batch:
                capacity = _capacity(subject.on_gpu) / GIB
                raise CheckFailed(
                    f"out of memory at micro-batches of {size}, of {capacity:.0f} GiB; {_smaller(subject.settings)}",
                    {"micro_batch_size": size},
                ) from None
        optimizer.zero_grad(set_to_none=True)
        if subject.on_gpu:
            torch.cuda.empty_cache()
        size //= 2


def _steps(
    subject: Subject, model: Any, optimizer: torch.optim.Optimizer, size: int, repeats: int = MICRO_STEPS
) -> Measured:
    settings = subject.settings
    _forget_peak(subject.on_gpu)
    tokens_BT = torch.randint(settings.vocab_size, (size, settings.block_size + 1), device=settings.device)
    seconds = []
    for _ in range(1 + repeats):  # gradients add up, as they do in a training
        started = _now(subject.on_gpu)
        with autocast(settings.device, settings.dtype):
            loss = model(tokens_BT[:, :-1], tokens_BT[:, 1:])[1]
        loss.backward()
        seconds.append(_now(subject.on_gpu) - started)
    optimizer.step()  # the first one makes its own tensors
    started = _now(subject.on_gpu)
    optimizer.step()
    optimizer_seconds = _now(subject.on_gpu) - started
    optimizer.zero_grad(set_to_none=True)
    peak = torch.cuda.max_memory_allocated() if subject.on_gpu else _peak_of_process()
    return Measured(size, min(seconds[1:]), optimizer_seconds, peak)


def use_kernels(script: Any, model: Any) -> None:
    """Do what a training does before its first step, if it is that of the shipped script: a task may have its own."""
    fused = getattr(script, "Fused", None)
    if hasattr(fused, "use_kernels"):
        fused.use_kernels(model)


def _optimizer(model: Any, settings: Any) -> torch.optim.Optimizer:
    betas = (settings.beta1, settings.beta2)
    device = torch.device(settings.device).type
    made: torch.optim.Optimizer = model.configure_optimizers(settings.weight_decay, 0.0, betas, device)
    return made


def _now(on_gpu: bool) -> float:
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter()


def _forget_peak(on_gpu: bool) -> None:
    """From here on the peak is that of what follows."""
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    elif CLEAR_REFS.exists():
        with suppress(PermissionError):  # under Landlock the peak stays that of the whole preflight so far
            CLEAR_REFS.write_text("5")  # proc(5): the peak of the resident set begins anew


def _peak_of_process() -> int:
    """Bytes; where Linux does not tell, those of the whole preflight so far."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _capacity(on_gpu: bool) -> int:
    """What a run may use here: the GPU's memory, less what other processes hold, or what the sandbox allows."""
    if on_gpu:
        free, _total = torch.cuda.mem_get_info()
        return int(free + torch.cuda.memory_reserved())
    return limits().memory_bytes


def _smaller(settings: Any) -> str:
    half, twice = settings.micro_batch_size // 2, settings.gradient_accumulation_steps * 2
    if half < 1:
        return "a smaller profile would"
    return f"--set micro_batch_size={half} --set gradient_accumulation_steps={twice} is the same run in less memory"


def _devices(on_gpu: bool, workers: int) -> str:
    if not on_gpu:
        return "this CPU"
    return f"{workers} {torch.cuda.get_device_name()}{'s' if workers > 1 else ''}"


def _duration(hours: float) -> str:
    seconds = hours * 3600
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if hours < 2 else f"{hours:.1f} h"
