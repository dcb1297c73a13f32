"""The operations of an edit, and what each makes of a document. Everything here is a pure function."""

from dataclasses import dataclass

from sandbox.document import Document, LineRange, format_ranges, split_lines
from sandbox.errors import EditRefused, UsageError
from sandbox.whole_file import document_from_text


@dataclass(frozen=True, slots=True)
class Replace:
    """Put `content` in the place of lines `first` to `last`."""

    first: int
    last: int
    content: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Put `content` after line `after`; 0 means before the first line."""

    after: int
    content: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Take lines `first` to `last` out."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Substitute:
    """Put `new` in the place of `old`, which must occur exactly once."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Load:
    """Take a whole file's text; it may differ inside regions only."""

    text: str


Operation = Replace | Insert | Delete | Substitute | Load


@dataclass(frozen=True, slots=True)
class Edited:
    """A document after an operation, and the sentence that says what was done."""

    document: Document
    summary: str


def apply(document: Document, operation: Operation) -> Edited:
    """Carry out one operation.

    Contents are expected as `clean_content` leaves them. Raises EditRefused when it would touch a line outside the
    regions, and UsageError when it means nothing (a reversed range, a line that is not in the file).
    """
    match operation:
        case Replace(first, last, content):
            return _replace(document, first, last, content)
        case Insert(after, content):
            return _insert(document, after, content)
        case Delete(first, last):
            edited = _replace(document, first, last, "")
            return Edited(edited.document, f"Deleted lines {first}..{last} in {document.frame.file}.")
        case Substitute(old, new):
            return _substitute(document, old, new)
        case Load(text):
            return _load(document, text)


def suggestion(document: Document, region: int = 0) -> str:
    """The command that edits a region (counted from 0)."""
    lines = document.ranges[region]
    return f"linbench edit --range {lines.option}" if len(lines) else f"linbench edit --after {lines.last}"


def _only(document: Document) -> str:
    return f"You may only edit lines {format_ranges(document.ranges)}."


def _outside(document: Document, first: int, last: int) -> EditRefused:
    beyond = first < 1 or last > document.total
    size = f" The file has {document.total} lines." if beyond else ""
    return EditRefused(
        f"Lines {first}..{last} exceed the editable range. {_only(document)}{size}",
        run=suggestion(document),
        line=None if beyond else first,
    )


def _replace(document: Document, first: int, last: int, content: str) -> Edited:
    region = _region_to_replace_in(document, LineRange(first, last))
    if region is None:
        raise _outside(document, first, last)
    count = len(split_lines(content))
    summary = f"Replaced lines {first}..{last} with {count} line(s) in {document.frame.file}."
    return Edited(_splice(document, region, first, last, content), summary)


def _region_to_replace_in(document: Document, asked: LineRange) -> int | None:
    if asked in document.ranges:
        return document.ranges.index(asked)
    if asked.last < asked.first:
        raise UsageError(
            f"Lines {asked.first}..{asked.last} are reversed: the first comes after the last. {_only(document)}",
            run=f"linbench edit --range {asked.last}-{asked.first}",
        )
    return next((i for i, lines in enumerate(document.ranges) if asked.first in lines and asked.last in lines), None)


def _insert(document: Document, after: int, content: str) -> Edited:
    region = _region_to_insert_in(document, after)
    if region is None:
        raise EditRefused(
            f"Cannot insert after line {after} — target is outside the editable range. {_only(document)}",
            run=f"linbench edit --after {document.ranges[0].last}",
            line=after if 1 <= after <= document.total else None,
        )
    summary = f"Inserted {len(split_lines(content))} line(s) after line {after} in {document.frame.file}."
    return Edited(_splice(document, region, after + 1, after, content), summary)


def _region_to_insert_in(document: Document, after: int) -> int | None:
    """The region that holds line `after`, else the one that begins right behind it."""
    holding = (i for i, lines in enumerate(document.ranges) if after in lines)
    behind = (i for i, lines in enumerate(document.ranges) if after == lines.first - 1)
    return next(holding, next(behind, None))


def _splice(document: Document, region: int, first: int, last: int, content: str) -> Document:
    start = document.ranges[region].first
    lines = split_lines(document.contents[region])
    lines[first - start : last - start + 1] = [content]
    return document.with_content(region, _joined(lines))


def _joined(lines: list[str]) -> str:
    """Join pieces, each of which must end its line (the last line of a file may lack its newline)."""
    return "".join(piece if not piece or piece.endswith("\n") else f"{piece}\n" for piece in lines)


def _substitute(document: Document, old: str, new: str) -> Edited:
    if not old:
        raise UsageError("--old is empty. Give the exact text to replace.", run="linbench show")
    places = [(index, place) for index, content in enumerate(document.contents) for place in _occurrences(content, old)]
    if not places:
        raise _nowhere_editable(document, old)
    if len(places) > 1:
        lines = list(dict.fromkeys(_line_at(document, *place) for place in places))
        where = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
        raise EditRefused(
            f"The text of --old occurs {len(places)} times (from lines {where}). Give more of the text around it.",
            run="linbench show",
        )
    region, start = places[0]
    first = _line_at(document, region, start)
    last = first + old.removesuffix("\n").count("\n")
    content = document.contents[region]
    edited = document.with_content(region, _joined([content[:start] + new + content[start + len(old) :]]))
    return Edited(edited, f"Replaced 1 occurrence (lines {first}..{last}) in {document.frame.file}.")


def _occurrences(text: str, old: str) -> list[int]:
    places, start = [], text.find(old)
    while start >= 0:
        places.append(start)
        start = text.find(old, start + 1)
    return places


def _line_at(document: Document, region: int, offset: int) -> int:
    return document.ranges[region].first + document.contents[region].count("\n", 0, offset)


def _nowhere_editable(document: Document, old: str) -> EditRefused:
    start = document.text.find(old)
    if start < 0:
        return EditRefused("The text of --old does not occur in the file. It must match exactly.", run="linbench show")
    first = document.text.count("\n", 0, start) + 1
    last = first + old.removesuffix("\n").count("\n")
    return _outside(document, first, last)


def _load(document: Document, text: str) -> Edited:
    loaded = document_from_text(document.frame, text, previous=document)
    changed = sum(old != new for old, new in zip(document.contents, loaded.contents, strict=True))
    return Edited(loaded, f"Loaded {document.frame.file}: {changed} region(s) changed.")


__all__ = [
    "Delete",
    "Edited",
    "Insert",
    "LineRange",
    "Load",
    "Operation",
    "Replace",
    "Substitute",
    "apply",
    "suggestion",
]
