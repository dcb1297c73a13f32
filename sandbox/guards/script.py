"""A parsed script that knows which of its lines are frozen."""

import ast
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

import libcst

from sandbox.document import Document

Place = tuple[int, ...]
"""Where something is, in terms that edits elsewhere do not move: (segment, line in it, byte column) in frozen text, and
(segment,) in a region."""


@dataclass(frozen=True)
class Script:
    """A document and its syntax tree."""

    document: Document
    tree: ast.Module
    """As the compiler reads it: every node knows its lines."""

    @cached_property
    def concrete(self) -> libcst.Module:
        """As libcst reads it: every node knows its text. Raises libcst.ParserSyntaxError."""
        return libcst.parse_module(self.document.text)

    @cached_property
    def _lasts(self) -> list[int]:
        return [lines.last for lines in self.document.segment_ranges]

    def segment(self, line: int) -> int:
        """The segment that a line belongs to: even ones are frozen, odd ones are regions."""
        return min(bisect_left(self._lasts, line), len(self._lasts) - 1)

    def is_frozen(self, line: int) -> bool:
        """Whether a line is read-only."""
        return self.segment(line) % 2 == 0

    def place(self, line: int, column: int) -> Place:
        """The place of a position; `column` counts bytes from 0, as syntax trees do."""
        segment = self.segment(line)
        return (segment,) if segment % 2 else (segment, line - self.document.segment_ranges[segment].first, column)
