"""What a preparation reports while it runs; the caller shows it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One report."""

    stage: str
    """In words: "reading", "training the tokenizer", "tokenizing", "waiting for another process"."""
    fraction: float | None = None
    """Of the stage, 0 to 1; None where its length is unknown."""
    documents: int = 0
    """Written so far, those of an earlier interrupted run included."""
    tokens: int = 0
    """Written so far, those of an earlier interrupted run included."""


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """The report of a caller that shows nothing."""
