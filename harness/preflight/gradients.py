"""Does a logit depend on a later token, asked of the derivatives: d logit_s / d embedding_t must vanish for t > s.

It needs no luck with the tokens: a path that happens to be closed for two of them still has a slope.
"""

import math
from typing import Any

import torch

from harness.precision import autocast
from harness.preflight.causal import BATCH, NotCausal, tolerance
from harness.preflight.found import Found


def positions(T: int) -> list[int]:
    """Where logits are differentiated: the first, before and behind a chunk's edge, in the middle, the last but one."""
    wanted = (0, 15, 16, 63, 64, T // 2 - 1, T // 2, T - 2)
    return sorted({position for position in wanted if 0 <= position < T - 1})


def check_gradients(model: Any, settings: Any) -> Found:
    """The largest derivative by a later token, as a share of the largest by any. Raises NotCausal."""
    largest, places = 0.0, positions(settings.block_size)
    for mode in ("training", "evaluation"):
        model.train(mode == "training")
        for number, position in enumerate(places):
            share, said = _steepest(model, settings, number % BATCH, position)
            if not share <= tolerance(settings.device, settings.dtype):
                raise NotCausal(f"in {mode} mode, {said}", {"largest_gradient": share, "mode": mode})
            largest = max(largest, share)
    return Found(
        f"slope in a later embedding {largest:.1e} of the largest slope",
        {"largest_gradient": largest, "positions": places},
    )


def _steepest(model: Any, settings: Any, row: int, position: int) -> tuple[float, str]:
    """The share for the logits at one position of one sequence, and what it would mean, in words."""
    logits_BTV, x_BTC = _forward(model, settings)
    slope_BT = _slopes(logits_BTV[row, position], x_BTC)
    scale = float(slope_BT.max()) or 1.0
    later_T, others_BT = slope_BT[row, position + 1 :], slope_BT[torch.arange(BATCH) != row]
    t = position + 1 + int(later_T.argmax())
    return max(
        (
            _share(later_T, scale),
            f"the logits at position {position} have a slope in the embedding at position {t}; no position may see a "
            "later one",
        ),
        (
            _share(others_BT, scale),
            "a sequence's logits have a slope in another sequence of the batch; each has to be read by itself",
        ),
    )


def _forward(model: Any, settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of random tokens, and the residual stream that they can be differentiated by: behind the embedding.

    Each derivative has a pass of its own: not every kernel lets its graph be gone through twice.
    """
    tokens_BT = torch.randint(settings.vocab_size, (BATCH, settings.block_size), device=settings.device)
    streams: list[torch.Tensor] = []

    def begin_here(_module: Any, _inputs: Any, x_BTC: torch.Tensor) -> torch.Tensor:
        streams.append(x_BTC.detach().requires_grad_())
        return streams[-1]

    hook = model.embedding.register_forward_hook(begin_here)
    try:
        with torch.enable_grad(), autocast(settings.device, settings.dtype):
            logits_BTV: torch.Tensor = model(tokens_BT)[0]
    finally:
        hook.remove()
    return logits_BTV, streams[0]


def _share(slopes: torch.Tensor, scale: float) -> float:
    """The largest, as a share of the scale; boundless as it is."""
    largest = float(slopes.max())
    return largest if math.isinf(largest) else largest / scale


def _slopes(logits_V: torch.Tensor, x_BTC: torch.Tensor) -> torch.Tensor:
    """The largest derivative by each embedding of a random mixture of the logits, (B, T); boundless where it is NaN."""
    mixture = (logits_V.float() * torch.randn_like(logits_V, dtype=torch.float32)).sum()
    if not mixture.requires_grad:
        return torch.zeros(x_BTC.shape[:2], device=x_BTC.device)
    (slope_BTC,) = torch.autograd.grad(mixture, [x_BTC], allow_unused=True)
    if slope_BTC is None:
        return torch.zeros(x_BTC.shape[:2], device=x_BTC.device)
    return slope_BTC.detach().float().abs().nan_to_num(nan=float("inf")).amax(dim=2)
