"""What a scoring is asked and what it answers. Torch-free: the parent reads it."""

from typing import Literal

import msgspec


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to score."""

    source: str
    run: str
    checkpoint: str
    report: str
    """Where the answer goes."""
    data: str
    """Name of the data set whose validation split is scored."""
    metrics: tuple[str, ...]
    """By the short name; harness.scoring.metrics lists them."""
    windows: int | None
    """Validation windows that are scored; None means all."""


Invalid = Literal[
    "logits_not_finite",
    "logits_misshapen",
    "non_deterministic",
    "not_causal",
    "below_floor",
    "source_changed",
    "foreign_result",
]
"""Why the figures of a model that was trained and scored prove nothing."""


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was measured."""

    metrics: dict[str, float] = {}
    """By the short name, such as val_loss; those that were asked for and did not fail."""
    errors: dict[str, str] = {}
    """Why a metric, by its name, could not be measured; the others are not lost with it."""
    tokens: int = 0
    """Validation tokens that were predicted."""
    tokens_sha256: str = ""
    """Of those tokens, in order."""
    step: int = 0
    """The checkpoint's optimizer step."""
    error: str | None = None
    """Why the model itself could not be loaded or its validation loss not be computed; None when they could."""
    invalid: Invalid | None = None
    """The kind of `error`, where the model could be scored and its figures prove nothing."""
    traceback: str = ""
    seconds: float = 0.0
    """Wall time, taken in the parent."""


class SampleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What text to draw from a checkpoint."""

    source: str
    run: str
    checkpoint: str
    report: str
    """Where the answer goes."""
    data: str
    """Name of the data set whose tokenizer is used."""
    prompt: str
    """What the text begins with; "" begins a document."""
    samples: int
    tokens: int
    """New tokens a sample, at most."""
    temperature: float
    """Of the softmax; 0 takes the likeliest token."""
    seed: int


class SampleReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was drawn."""

    texts: tuple[str, ...] = ()
    """Without the prompt."""
    step: int = 0
    """The checkpoint's optimizer step."""
    error: str | None = None
    """Why there is no text; None when there is."""
    traceback: str = ""
    seconds: float = 0.0
    """Wall time, taken in the parent."""
