"""How the cost of the blocks grows with the length of a window: operations and memory, and time on a GPU.

All blocks are looked at, each without the script's own MLP, for attention may hide in any of them. A window that is
wide at one fixed length alone is cheap at longer ones: blocks that are built for longer windows are therefore counted
as well.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn

from harness.precision import autocast
from harness.preflight.found import CheckFailed, Found
from harness.preflight.operations import OperationCounter
from harness.preflight.subject import VOCABULARY, Subject

CPU_LENGTHS = (512, 1024, 2048, 4096, 8192)
GPU_LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768)
"""Tokens."""

FEWEST = 3
"""Lengths that are measured however long it takes."""

SECONDS = 2.0
"""After which no longer length is begun."""

FITTED = 3
"""The longest lengths, which the exponent is fitted to: shorter ones are the linear maps' and the launches' own."""

DENSE = 0.4
"""The share of all pairs of positions from which on a window that grows with block_size is softmax in disguise."""

REPEATS = 3

SHORTEST_WINDOW = 512
"""Half of a shorter one is but a few chunks, whose own pairs would count."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one forward pass over one window, kept for the backward pass; the time is that of both."""

    tokens: int
    operations: int | None
    """None where it cannot be counted."""
    bytes: int
    seconds: float | None = None
    """On a GPU; a CPU's cores may be busy with other work."""


def check_cost(subject: Subject, ceiling: float, reference: bool = False) -> Found:
    """The fitted exponents. Raises CheckFailed when one is above the ceiling, unless the script is a reference."""
    lengths = GPU_LENGTHS if subject.on_gpu else CPU_LENGTHS
    costs = measure(subject, lengths)
    exponents = {name: fit(costs, name) for name in ("operations", "bytes", "seconds") if _has(costs, name)}
    figures = {"costs": [asdict(cost) for cost in costs], "exponents": exponents, "ceiling": ceiling}
    said = describe(costs, exponents)
    if reference:
        return Found(f"{said}; a reference: it can be trained to compare with, and not be submitted", figures)
    if max(exponents.values()) > ceiling:
        raise CheckFailed(
            f"{said}; this task allows T^{ceiling:g} at most. Every token may read a state or a window of fixed size, "
            "not all tokens before it",
            figures,
        )
    share = dense_share(subject)
    figures["dense_share"] = share
    if share > DENSE:
        raise CheckFailed(
            f"blocks that are built for longer windows read {share:.0%} of all pairs of positions, though {said}; a "
            f"window that grows with config.block_size may reach {DENSE:.0%} of them at most",
            figures,
        )
    return Found(f"{said}; at most T^{ceiling:g}", figures)


def describe(costs: Sequence[Cost], exponents: dict[str, float]) -> str:
    """The exponents in words, each with its cost a token drawn over the lengths."""
    names = {"operations": "operations", "bytes": "memory", "seconds": "time"}
    drawn = [
        f"{names[name]} T^{exponent:.2f} {bars([getattr(cost, name) / cost.tokens for cost in costs])}"
        for name, exponent in exponents.items()
    ]
    return f"{', '.join(drawn)} (a token, at {costs[0].tokens:,} to {costs[-1].tokens:,})"


def bars(values: Sequence[float]) -> str:
    """One bar a value, as high as its share of the largest: level for a cost that is linear, stairs for a square.

    >>> bars([1, 2, 4, 8])
    '▁▂▄█'
    """
    return "".join("▁▂▃▄▅▆▇█"[max(0, math.ceil(8 * value / max(values)) - 1)] for value in values)


def fit(costs: Sequence[Cost], name: str) -> float:
    """The slope of log cost over log tokens, by least squares over the longest lengths."""
    points = [(math.log(cost.tokens), math.log(max(getattr(cost, name), 1e-9))) for cost in costs[-FITTED:]]
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def _has(costs: Sequence[Cost], name: str) -> bool:
    return all(getattr(cost, name) is not None for cost in costs)


def measure(subject: Subject, lengths: Sequence[int]) -> list[Cost]:
    """The costs at growing lengths, as far as time and memory reach, of blocks for the profile's own block_size.

    Where those take no longer window, of blocks that are built for each length.
    """
    try:
        blocks = _blocks(subject, subject.settings.block_size)
        _cost_of(subject, blocks, lengths[1], timed=False)
        return _measure(subject, lengths, lambda tokens: blocks)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # tables and weights may be as long as block_size; any other mistake comes again
        return _measure(subject, lengths, lambda tokens: _blocks(subject, tokens))


def _measure(subject: Subject, lengths: Sequence[int], blocks_for: Callable[[int], nn.Module]) -> list[Cost]:
    costs: list[Cost] = []
    started = time.monotonic()
    for tokens in lengths:
        before = time.monotonic()
        try:
            costs.append(_cost_of(subject, blocks_for(tokens), tokens))
        except torch.OutOfMemoryError:
            if len(costs) < FITTED:
                raise
            break
        now = time.monotonic()
        if len(costs) >= FEWEST and not subject.on_gpu and now - started + 2 * (now - before) > SECONDS:
            break
    return costs


def dense_share(subject: Subject) -> float:
    """The share of all pairs of positions that meet in blocks that are built for windows twice as long as others.

    A product of every query with every key and of its weight with every value is 4 C operations a pair. On a GPU the
    windows of the training itself are looked at too: code may read all of these and less of any other.
    """
    own = subject.settings.block_size
    pairs = [(1024, 2048)]
    if subject.on_gpu and own >= SHORTEST_WINDOW:
        pairs.append((own // 2, own))
    return max(_share_between(subject, short, long) for short, long in pairs)


def _share_between(subject: Subject, short: int, long: int) -> float:
    few, many = (_cost_of(subject, _blocks(subject, tokens), tokens, timed=False) for tokens in (short, long))
    if few.operations is None or many.operations is None:
        return 0.0
    a_token = (many.operations / long - few.operations / short) / (long - short)
    return a_token / (4 * subject.small.n_embd * subject.small.n_layer)


def _blocks(subject: Subject, block_size: int) -> nn.Module:
    """The blocks of a model, one after another, without the MLPs that the script itself defines."""
    torch.manual_seed(0)
    model = subject.build(subject.sized(block_size=block_size, vocab_size=VOCABULARY)).train()
    for module in model.blocks.modules():
        for name, child in list(module.named_children()):
            if type(child) is getattr(subject.script, "MLP", None):
                setattr(module, name, nn.Identity())
    return nn.Sequential(*model.blocks)


def _cost_of(subject: Subject, blocks: nn.Module, tokens: int, *, timed: bool = True) -> Cost:
    settings = subject.small
    stream = torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32  # as the script's own under autocast
    x_BTC = torch.randn(1, tokens, settings.n_embd, device=settings.device, dtype=stream)
    operations, peak = _counted(subject, blocks, x_BTC)
    if not (subject.on_gpu and timed):
        return Cost(tokens, operations, peak)
    seconds, allocated = _on_gpu(subject, blocks, x_BTC.requires_grad_())
    return Cost(tokens, operations, allocated, seconds)


def _counted(subject: Subject, blocks: nn.Module, x_BTC: torch.Tensor) -> tuple[int | None, int]:
    """Operations and the peak of bytes of a forward pass."""
    counter = OperationCounter()
    try:
        with counter, autocast(subject.small.device, subject.small.dtype):
            y_BTC = blocks(x_BTC)
            peak = counter.peak
        del y_BTC
    except torch.OutOfMemoryError:
        raise
    except Exception:
        if not subject.on_gpu:
            raise
        return None, 0  # compiled code need not run under a counter; the time then tells, or it fails there again
    return counter.operations, peak


def _on_gpu(subject: Subject, blocks: nn.Module, x_BTC: torch.Tensor) -> tuple[float, int]:
    """The shortest time of some forward and backward passes, and the bytes that they needed beyond the weights."""
    shortest = math.inf
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    for _ in range(1 + REPEATS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        with autocast(subject.small.device, subject.small.dtype):
            y_BTC = blocks(x_BTC)
        y_BTC.float().square().mean().backward()
        end.record()
        torch.cuda.synchronize()
        shortest = min(shortest, begin.elapsed_time(end) / 1000)
        del y_BTC
        blocks.zero_grad(set_to_none=True)
        x_BTC.grad = None
    return shortest, torch.cuda.max_memory_allocated() - before
