"""Does a logit depend on a later token, or on another sequence of the batch? Asked by changing those and looking.

The model is a fresh one whose weights are first disturbed and then random, so that no path is hidden behind one that
begins closed. It is asked in training and in evaluation mode, at the full length of a window and at one that no chunk
divides, at positions on both sides of the usual chunk boundaries.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch

from harness.precision import autocast
from harness.preflight.found import CheckFailed, Found
from harness.preflight.weights import disturb, randomize

BATCH = 2
"""Sequences that the model reads at once, as in the rest of the preflight."""

MANY = 8
"""Sequences at once, where that is cheap: a leak may show only in a batch like that of the training."""

SHORT = 256
"""A window up to which every edge is tried."""

CHEAP_LOGITS = 2**22
"""Logits at once that cost nothing to speak of."""

TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}
"""Largest change of a logit that is taken for rounding, as a share of the largest logit."""

TENSOR_CORES = 3e-3
"""The same for float32 on a GPU, whose kernels multiply in TF32."""


class NotCausal(CheckFailed):
    """A logit depends on what it must not see."""


def check_causality(model: Any, settings: Any) -> Found:
    """What was tried and the largest change seen. Raises NotCausal naming the mode, the change and who saw it."""
    full, *uneven = lengths(settings.block_size)
    largest, changes, warnings = 0.0, 0, []
    disturb(model)
    for weights in ("disturbed", "random"):
        if weights == "random" and not randomize(model, lambda: _is_finite(model, settings)):
            break
        for T in (full, *uneven):
            try:
                share, count = probe(model, settings, T)
            except Exception as problem:
                if full == T or isinstance(problem, NotCausal):
                    raise
                warnings.append(f"windows of {T} tokens, which scoring may ask for, fail: {problem}")
                uneven = []
                break
            largest, changes = max(largest, share), changes + count
    return Found(
        f"largest change {largest:.1e} of the largest logit, over {changes} changes of later tokens or other sequences "
        f"in windows of {' and '.join(map(str, (full, *uneven)))}",
        {"largest_change": largest, "changes": changes, "lengths": [full, *uneven]},
        tuple(warnings),
    )


def tolerance(device: str, dtype: str) -> float:
    """The share of the largest logit that is rounding."""
    return TENSOR_CORES if dtype == "float32" and device.startswith("cuda") else TOLERANCE[dtype]


def lengths(block_size: int) -> list[int]:
    """The full length, and one below it that no usual chunk divides."""
    uneven = 200 if block_size > 200 else block_size * 3 // 4 + 4
    return [block_size, *([uneven] if uneven < block_size else [])]


def starts(T: int) -> list[int]:
    """The positions from which on tokens are changed: the second, around the edges of chunks, the last."""
    edges = (16, 32, 64, 128) if T <= SHORT else (16, 64, 128, T // 2)
    near = (start for edge in edges for start in (edge - 1, edge, edge + 1))
    return sorted({*(start for start in (1, *near) if 1 <= start < T), T - 1})


def probe(model: Any, settings: Any, T: int) -> tuple[float, int]:
    """Change tokens of windows of T in both modes: the largest share of the largest logit, and of how many changes.

    bf16 rounds by more than a leak may amount to. Where anything at all changes in it, float32 decides, if the model
    runs in it: some kernels do not. Raises NotCausal.
    """
    largest, count = _scan(model, settings, settings.dtype, T)
    if largest > 0 and settings.dtype != "float32":
        try:
            return _scan(model, settings, "float32", T)
        except NotCausal:
            raise
        except Exception:  # kernels refuse float32 in many ways; what bf16 said then stands
            return largest, count
    return largest, count


def _scan(model: Any, settings: Any, dtype: str, T: int) -> tuple[float, int]:
    largest, count = 0.0, 0
    for mode in ("training", "evaluation"):
        model.train(mode == "training")
        for change, scale, said in _changes(model, settings, dtype, T):
            share, count = change / scale, count + 1
            if not share <= tolerance(settings.device, dtype):
                raise NotCausal(f"in {mode} mode, {said}", {"largest_change": share, "mode": mode, "length": T})
            largest = max(largest, share)
    return largest, count


def _changes(model: Any, settings: Any, dtype: str, T: int) -> Iterator[tuple[float, float, str]]:
    """Each change: by how much it moves a logit that it must not move, the largest logit, and both in words."""
    many = min(MANY, max(BATCH, settings.micro_batch_size))
    batch = many if many * T * settings.vocab_size <= CHEAP_LOGITS else BATCH
    before_BT = torch.randint(settings.vocab_size, (batch, T), device=settings.device)
    shift_BT = torch.randint(1, max(2, settings.vocab_size), (batch, T), device=settings.device)
    after_BT = (before_BT + shift_BT) % settings.vocab_size
    try:
        logits_BTV = _logits(model, settings, dtype, before_BT)
    except torch.OutOfMemoryError:  # whether a larger batch fits is asked elsewhere
        batch, before_BT, after_BT = BATCH, before_BT[:BATCH], after_BT[:BATCH]
        logits_BTV = _logits(model, settings, dtype, before_BT)
    scale = float(logits_BTV.abs().max()) or 1.0
    for kept in (slice(0, 1), slice(1, None)):
        other_BT = after_BT.clone()
        other_BT[kept] = before_BT[kept]
        change = _largest(_logits(model, settings, dtype, other_BT)[kept] - logits_BTV[kept])[0]
        yield (
            change,
            scale,
            f"changing another sequence of the batch changes a sequence's logits by {change:.3g}; each has to be read "
            "by itself",
        )
    first_BT, first_BTV = before_BT[:BATCH], logits_BTV[:BATCH]
    if batch != BATCH:
        for start in sorted({1, T // 2} & set(range(1, T))):  # a leak may need more sequences than the rest reads
            later_BT = torch.cat([before_BT[:, :start], after_BT[:, start:]], dim=1)
            moved_BTV = _logits(model, settings, dtype, later_BT) - logits_BTV
            yield _moved(moved_BTV, start, scale)
        first_BTV = _logits(model, settings, dtype, first_BT)
    for pair in _pairs(starts(T)):
        rows = [torch.cat([first_BT[row, :start], after_BT[row, start:]]) for row, start in enumerate(pair)]
        moved_BTV = _logits(model, settings, dtype, torch.stack(rows)) - first_BTV
        for row, start in enumerate(pair):
            yield _moved(moved_BTV[row : row + 1], start, scale)


def _moved(change_BTV: torch.Tensor, start: int, scale: float) -> tuple[float, float, str]:
    change, position = _largest(change_BTV[:, :start])
    return (
        change,
        scale,
        f"changing the tokens from position {start} on changes the logits at position {position} by {change:.3g}; no "
        "position may see a later one",
    )


def _pairs(positions: list[int]) -> list[tuple[int, int]]:
    """Two positions at a time, one a sequence; an odd last one goes with the one before it."""
    whole = positions if len(positions) % 2 == 0 else [*positions, positions[-1]]
    return list(pairwise(whole))[::2]


def _largest(change_BTV: torch.Tensor) -> tuple[float, int]:
    """The largest change, and at which position; one that is no number counts as boundless."""
    change_T = change_BTV.abs().nan_to_num(nan=float("inf")).amax(dim=(0, 2))
    return float(change_T.max()), int(change_T.argmax())


def _is_finite(model: Any, settings: Any) -> bool:
    tokens_BT = torch.randint(settings.vocab_size, (BATCH, settings.block_size), device=settings.device)
    return bool(_logits(model.train(), settings, settings.dtype, tokens_BT).isfinite().all())


@torch.no_grad()
def _logits(model: Any, settings: Any, dtype: str, tokens_BT: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(0)  # dropout, where there is any, drops the same
    with autocast(settings.device, dtype):
        logits: torch.Tensor = model(tokens_BT)[0]
    return logits.float()
