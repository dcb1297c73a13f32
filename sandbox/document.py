"""A script under edit: frozen text between regions, and one content for each region.

The text is put together from the template's own frozen segments, so that no operation can change a frozen byte.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, chain, pairwise, zip_longest

from sandbox.schema import Region


@dataclass(frozen=True, slots=True)
class LineRange:
    """Lines `first` to `last` of a script, both counted from 1 and both included; empty when last == first - 1."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}–{self.last}"

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, line: int) -> bool:
        return self.first <= line <= self.last

    @property
    def option(self) -> str:
        """The range as the command line takes it: 33-70."""
        return f"{self.first}-{self.last}"


def format_ranges(ranges: Iterable[LineRange]) -> str:
    """The ranges as replies show them.

    >>> format_ranges([LineRange(33, 79), LineRange(97, 109)])
    '33–79, 97–109'
    """
    return ", ".join(map(str, ranges))


def split_lines(text: str) -> list[str]:
    """The lines of a text with their newline; "\\n" alone ends a line, as it does for Python's parser."""
    lines = text.split("\n")
    last = lines.pop()
    return [f"{line}\n" for line in lines] + ([last] if last else [])


@dataclass(frozen=True)
class Frame:
    """What never changes in a session: the template and where its regions lie."""

    file: str
    """The name shown to the agent."""
    regions: tuple[Region, ...]
    """In order and disjoint."""
    template: str

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The template cut at its regions: frozen text at the even places, a region's original text at the odd ones."""
        lines = split_lines(self.template)
        cuts = [0, *chain.from_iterable((region.first - 1, region.last) for region in self.regions), len(lines)]
        return tuple("".join(lines[start:stop]) for start, stop in pairwise(cuts))

    @property
    def frozen(self) -> tuple[str, ...]:
        """The text before, between and after the regions: one more than there are regions."""
        return self.segments[0::2]


@dataclass(frozen=True)
class Document:
    """A frame and what now stands in each of its regions."""

    frame: Frame
    contents: tuple[str, ...]
    """One text a region; each is empty or ends in a newline."""

    @classmethod
    def original(cls, frame: Frame) -> "Document":
        """The untouched template."""
        return cls(frame, frame.segments[1::2])

    def with_content(self, region: int, content: str) -> "Document":
        """The same script with another content in one region (counted from 0)."""
        contents = (*self.contents[:region], content, *self.contents[region + 1 :])
        return replace(self, contents=contents)

    @property
    def segments(self) -> tuple[str, ...]:
        """Frozen text at the even places, contents at the odd ones."""
        pairs = zip_longest(self.frame.frozen, self.contents, fillvalue="")
        return tuple(chain.from_iterable(pairs))[:-1]

    @cached_property
    def text(self) -> str:
        """The whole script."""
        return "".join(self.segments)

    @cached_property
    def lines(self) -> list[str]:
        """The script's lines, each with its newline."""
        return split_lines(self.text)

    @property
    def total(self) -> int:
        """How many lines the script has."""
        return len(self.lines)

    @cached_property
    def segment_ranges(self) -> tuple[LineRange, ...]:
        """The lines of every segment: frozen ones at the even places, regions at the odd ones."""
        return ranges_of(self.segments)

    @property
    def ranges(self) -> tuple[LineRange, ...]:
        """The lines of every region."""
        return self.segment_ranges[1::2]

    def region_named(self, name: str) -> int | None:
        """The index of the region of that name."""
        return next((index for index, region in enumerate(self.frame.regions) if region.name == name), None)

    def revision_sha(self) -> str:
        """The sha256 of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def ranges_of(segments: Sequence[str]) -> tuple[LineRange, ...]:
    """The lines that consecutive segments take up."""
    ends = list(accumulate(len(split_lines(segment)) for segment in segments))
    return tuple(LineRange(start + 1, end) for start, end in pairwise([0, *ends]))
