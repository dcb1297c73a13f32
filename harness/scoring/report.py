"""What a scoring is asked and what it answers. Torch-free: the parent reads it."""

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
    windows: int | None
    """Validation windows that are scored; None means all."""


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was measured."""

    metrics: dict[str, float] = {}
    """By the short name, such as val_loss."""
    tokens: int = 0
    """Validation tokens that were predicted."""
    tokens_sha256: str = ""
    """Of those tokens, in order."""
    step: int = 0
    """The checkpoint's optimizer step."""
    error: str | None = None
    """Why the model could not be scored; None when it could."""
    traceback: str = ""
    seconds: float = 0.0
    """Wall time, taken in the parent."""
