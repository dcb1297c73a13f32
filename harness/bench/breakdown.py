"""Where the milliseconds of a training step go on a GPU: its kernels by what they do, in both training loops."""

import re
from collections import Counter
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from harness.bench.comparison import BreakdownRow
from harness.bench.loops import LOOPS, warmed_up
from harness.estimates import tokens_per_step

KINDS = {
    "matrix products": r"gemm|nvjet|xmma|cutlass|cublas|splitk",
    "softmax attention": r"flash|fmha|cudnn.*sdpa|mha_",
    "optimizer": r"multi_tensor|adam|lpnorm",
    "loss": r"softmax|nll_loss|^_loss$",
    "norms": r"vectorized_layer_norm|layer_norm_grad|GammaBeta|triton_.*native_layer_norm|^_norm(_gradient)?$",
    "GELU": r"gelu",
    "short convolutions": r"conv1d|^_convolution(_gradient)?$",
    "copies and casts": r"copy|memcpy|memset|CatArray|cat_",
    "other element-wise": r"at::native|elementwise|reduce_kernel|triton_(poi|red|per)_|^_add_up$",
}
"""Kinds of kernels by what their names contain, the first that fits; the others are the mechanism's own."""
MECHANISM = "mechanism"
TOKENS = 32 * 1024
"""Tokens that times are given for: a micro-batch of the published setting."""
LISTED = 12
"""Kernels that are listed by name, the longest ones."""


def break_down(mechanism: str, script: ModuleType, settings: Any, steps: int | None) -> BreakdownRow:
    """Record some optimizer steps of each loop."""
    found = {}
    for name, build in LOOPS.items():
        loop, _ = warmed_up(build, script, settings)
        found[name] = _kernels(loop, steps or 1, tokens_per_step(settings) / TOKENS)
        del loop
    kinds = {name: dict(_by_kind(kernels)) for name, kernels in found.items()}
    longest = {name: dict(kernels.most_common(LISTED)) for name, kernels in found.items()}
    return BreakdownRow(mechanism, kinds["reference"], kinds["template"], longest["reference"], longest["template"])


def _kernels(loop: Any, steps: int, share: float) -> Counter[str]:
    """Milliseconds of each kernel, divided by the share; `idle` is the time in which the GPU waited."""
    torch.cuda.synchronize()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as recorded:
        begin.record()
        for _ in range(steps):
            loop.update()
        end.record()
        torch.cuda.synchronize()
    kernels: Counter[str] = Counter()
    for event in recorded.events():
        if event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False):
            kernels[event.name] += event.time_range.elapsed_us() / 1000 / (steps * share)
    kernels["idle"] = begin.elapsed_time(end) / (steps * share) - sum(kernels.values())
    return kernels


def _by_kind(kernels: Mapping[str, float]) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for name, milliseconds in kernels.items():
        kinds[kind_of(name)] += milliseconds
    return kinds


def kind_of(kernel: str) -> str:
    """The kind of a kernel by its name.

    >>> kind_of("nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NTT")
    'matrix products'
    """
    if kernel == "idle":
        return kernel
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, kernel, re.IGNORECASE)), MECHANISM)
