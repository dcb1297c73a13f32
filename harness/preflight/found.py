"""What a check hands back: a sentence with its number, and the numbers themselves; or why it failed."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """What a check that passed found."""

    detail: str
    figures: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class CheckFailed(Exception):
    """The model does something that a test could not use, or that the task does not allow."""

    def __init__(self, message: str, figures: dict[str, Any] | None = None):
        super().__init__(message)
        self.figures = figures or {}
