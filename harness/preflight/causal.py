"""Does a logit depend on a later token, or on another sequence of the batch? Asked by changing those and looking.

The model is a fresh one whose weights are all disturbed, so that no path is hidden behind a projection that begins at
zero. It is asked in training and in evaluation mode, at positions on both sides of the usual chunk boundaries.
"""

from typing import Any

import torch

from harness.precision import autocast

POSITIONS = (1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127)
"""Tokens are changed from each of these on, and from the last one on."""

BATCH = 2
"""Sequences that the model reads at once, as in the rest of the preflight."""

DISTURBANCE = 0.02
"""Standard deviation of what is added to every weight."""

TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}
"""Largest change of a logit that is taken for rounding, as a share of the largest logit."""


class NotCausal(Exception):
    """A logit depends on what it must not see."""


def disturb(model: Any) -> None:
    """Add noise to every weight, in place."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=DISTURBANCE)


def check_causality(model: Any, settings: Any) -> str:
    """What was tried, in words. Raises NotCausal naming the mode, the change and the logit that saw it."""
    T, device = settings.block_size, torch.device(settings.device)
    starts = sorted({*(position for position in POSITIONS if position < T), T - 1})
    disturb(model)
    before_BT = torch.randint(settings.vocab_size, (BATCH, T), device=device)
    after_BT = (before_BT + torch.randint(1, settings.vocab_size, (BATCH, T), device=device)) % settings.vocab_size
    for mode in ("training", "evaluation"):
        model.train(mode == "training")
        logits_BTV = _logits(model, settings, before_BT)
        allowed = TOLERANCE[settings.dtype] * float(logits_BTV.abs().max())
        other_BTV = _logits(model, settings, torch.cat([before_BT[:1], after_BT[1:]]))
        if (change := _largest(other_BTV[:1] - logits_BTV[:1])[0]) > allowed:
            raise NotCausal(
                f"in {mode} mode, changing another sequence of the batch changes a sequence's logits by {change:.3g}; "
                "each has to be read by itself"
            )
        for start in starts:
            changed_BTV = _logits(model, settings, torch.cat([before_BT[:, :start], after_BT[:, start:]], dim=1))
            change, position = _largest((changed_BTV - logits_BTV)[:, :start])
            if change > allowed:
                raise NotCausal(
                    f"in {mode} mode, changing the tokens from position {start} on changes the logits at position "
                    f"{position} by {change:.3g}; no position may see a later one"
                )
    return f"no logit sees a later token, for changes from {len(starts)} positions on, nor another sequence"


def _largest(change_BTV: torch.Tensor) -> tuple[float, int]:
    """The largest change, and at which position."""
    change_T = change_BTV.abs().amax(dim=(0, 2))
    return float(change_T.max()), int(change_T.argmax())


@torch.no_grad()
def _logits(model: Any, settings: Any, tokens_BT: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(0)  # dropout, where there is any, drops the same
    with autocast(settings.device, settings.dtype):
        logits: torch.Tensor = model(tokens_BT)[0]
    return logits.float()
