"""Questions to a language model and their logits: from a model in this process, or from one in a process of its own."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch

from harness.precision import autocast
from harness.scoring.report import Invalid


class NotScorable(Exception):
    """The model's answers prove nothing; `reason` says of which kind they are."""

    def __init__(self, reason: Invalid, message: str):
        super().__init__(message)
        self.reason = reason


class Question(NamedTuple):
    """Tokens, on the CPU, and at which of their places the logits are wanted."""

    tokens_BT: torch.Tensor
    places_N: torch.Tensor | None = None
    """In the flattened (B * T,); None means all."""


def answers(model: Any, questions: Iterable[Question], device: str, dtype: str) -> Iterator[torch.Tensor]:
    """The logits (N, V) of each question in turn, in the precision that the model gives, on the device.

    A model is `model(idx) -> (logits, None)`, or has `answers(questions)` itself, as the one in a process of its own.
    Raises NotScorable for logits of another shape.
    """
    if hasattr(model, "answers"):
        yield from model.answers(questions)
    else:
        for question in questions:
            yield logits_of(model, question, device, dtype)


@torch.no_grad()
def logits_of(model: Any, question: Question, device: str, dtype: str) -> torch.Tensor:
    """The logits (N, V) of one question, by a model in this process. Raises as `answers` does."""
    tokens_BT = question.tokens_BT.to(device)
    with autocast(device, dtype):
        logits_BTV = model(tokens_BT)[0]
    shape = tuple(logits_BTV.shape)
    if len(shape) != 3 or shape[:2] != tuple(tokens_BT.shape) or shape[2] < 1:
        raise NotScorable("logits_misshapen", f"the logits have the shape {shape} for tokens {tuple(tokens_BT.shape)}")
    logits_MV: torch.Tensor = logits_BTV.flatten(0, 1)
    return logits_MV if question.places_N is None else logits_MV[question.places_N.to(device)]
