"""Reading a whole file back as a document: find the frozen text in it, and take what lies between as the contents."""

import difflib
from itertools import chain

from sandbox.document import Document, Frame, LineRange, format_ranges, split_lines
from sandbox.errors import EditRefused

_MAX_DIFF_LINES = 5000
_SHOWN = 3


def document_from_text(frame: Frame, text: str, previous: Document | None = None) -> Document:
    """The document whose text is `text`, up to a newline at its end.

    Where frozen text occurs more than once, the place that a line diff against `previous` (else the template) points to
    is taken. Raises EditRefused that names the lines outside the regions that differ.
    """
    reference = previous or Document.original(frame)
    lines = split_lines(text)
    if lines and frame.frozen[-1]:
        lines[-1] = lines[-1].removesuffix("\n") + ("\n" if frame.template.endswith("\n") else "")
    elif lines:
        lines[-1] = lines[-1].removesuffix("\n") + "\n"
    frozen = [split_lines(segment) for segment in frame.frozen]
    starts = _anchor(frozen, lines, reference)
    if starts is None:
        raise _outside(reference, lines)
    ends = [start + len(segment) for start, segment in zip(starts, frozen, strict=True)]
    contents = tuple("".join(lines[end:start]) for end, start in zip(ends, starts[1:], strict=False))
    return Document(frame, contents)


def _anchor(frozen: list[list[str]], lines: list[str], reference: Document) -> list[int] | None:
    """Where each frozen segment starts (counted from 0), in order and without overlap; None when one is missing."""
    tail = len(lines) - len(frozen[-1])
    if tail < len(frozen[0]) or lines[: len(frozen[0])] != frozen[0] or lines[tail:] != frozen[-1]:
        return None
    latest = _latest_starts(frozen, lines, tail)
    if latest is None:
        return None
    starts, position = [0], len(frozen[0])
    expected = None
    for segment, limit, old in zip(frozen[1:-1], latest, reference.segment_ranges[2:-1:2], strict=True):
        found = [start for start in range(position, limit + 1) if lines[start : start + len(segment)] == segment]
        if len(found) > 1:
            expected = expected or _line_map(reference.lines, lines)
            wanted = expected[old.first - 1] if old.first <= len(expected) else len(lines)
            found.sort(key=lambda start: abs(start - wanted))
        if not found:
            return None
        starts.append(found[0])
        position = found[0] + len(segment)
    return [*starts, tail]


def _latest_starts(frozen: list[list[str]], lines: list[str], tail: int) -> list[int] | None:
    """The last place where each middle segment can start so that those behind it still fit."""
    latest, end = [], tail
    for segment in reversed(frozen[1:-1]):
        start = end - len(segment)
        while start >= len(frozen[0]) and lines[start : start + len(segment)] != segment:
            start -= 1
        if start < len(frozen[0]):
            return None
        latest.append(start)
        end = start
    return latest[::-1]


def _line_map(old: list[str], new: list[str]) -> list[int]:
    """For every line of `old`, the line of `new` that a diff puts in its place."""
    places = [0] * len(old)
    for _, start, end, new_start, _ in _changes(old, new, equal=True):
        places[start:end] = range(new_start, new_start + end - start)
    return places


def _changes(old: list[str], new: list[str], equal: bool = False) -> list[tuple[str, int, int, int, int]]:
    same = min(len(old), len(new))
    head = next((i for i in range(same) if old[i] != new[i]), same)
    room = same - head
    foot = next((i for i in range(room) if old[-1 - i] != new[-1 - i]), room)
    a, b = old[head : len(old) - foot], new[head : len(new) - foot]
    if max(len(a), len(b)) > _MAX_DIFF_LINES:
        middle = [("replace", head, head + len(a), head, head + len(b))]
    else:
        codes = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
        middle = [(tag, i + head, j + head, k + head, m + head) for tag, i, j, k, m in codes]
    ends = [("equal", 0, head, 0, head)], [("equal", len(old) - foot, len(old), len(new) - foot, len(new))]
    every = [code for code in chain(ends[0], middle, ends[1]) if code[2] > code[1] or code[4] > code[3]]
    return [code for code in every if equal or code[0] != "equal"]


def _outside(reference: Document, lines: list[str]) -> EditRefused:
    """Name the frozen lines that are not as they were."""
    frozen = reference.segment_ranges[0::2]
    found = []
    for _, start, end, new_start, new_end in _changes(reference.lines, lines):
        if any(_touches(start, end, segment, reference.total) for segment in frozen):
            found.append(_described(start, end, lines[new_start:new_end], frozen))
    shown = "; ".join(found[:_SHOWN]) + (f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
    line = next((i + 1 for i, (a, b) in enumerate(zip(reference.lines, lines, strict=False)) if a != b), None)
    return EditRefused(
        f"The file differs outside the editable range: {shown or 'read-only lines were moved'}. "
        f"You may only edit lines {format_ranges(reference.ranges)}.",
        run="linbench show --all",
        line=line,
    )


def _touches(start: int, end: int, segment: LineRange, total: int) -> bool:
    """Whether a change of lines start+1..end (or an insertion behind line `start`) falls into a frozen segment."""
    if start < end:
        return start + 1 <= segment.last and end >= segment.first
    at_an_end = len(segment) > 0 and start in {0, total}
    return segment.first <= start < segment.last or (at_an_end and start in {segment.first - 1, segment.last})


def _described(start: int, end: int, new: list[str], frozen: tuple[LineRange, ...]) -> str:
    if start == end:
        return f"{len(new)} line(s) inserted " + (f"after line {start}" if start else "before line 1")
    touched = [n for n in range(start + 1, end + 1) if any(n in segment for segment in frozen)]
    where = f"line {touched[0]}" if len(touched) == 1 else f"lines {touched[0]}..{touched[-1]}"
    return f"{where} {'changed' if new else 'deleted'}"
