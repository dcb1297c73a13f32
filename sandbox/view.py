"""How a script is shown: numbered lines, in the published wording of replies."""

from collections.abc import Sequence

from sandbox.document import Document, LineRange, format_ranges

_WHOLE = 6
"""A region of at most this many lines is shown in full."""
_EDGE = 3
"""Of a longer one, so many lines are shown at each end."""
_WIDTH = 200
"""Of a line that an error points into, so many characters are shown around the place."""
_GAP = "       ..."


def render_regions(document: Document) -> str:
    """The reply's view: the file's name and editable lines, then each region, the middle of long ones left out."""
    blocks = ["\n".join(_region(document, lines)) for lines in document.ranges]
    return "\n".join([render_head(document), f"\n{_GAP}\n".join(blocks)])


def render_head(document: Document) -> str:
    """The line above every view: the file's name, its editable lines and its length."""
    ranges = format_ranges(document.ranges)
    return f"[Current file: {document.frame.file} | editable: {ranges} | total: {document.total} lines]"


def render_success(document: Document, summary: str, notes: Sequence[str] = ()) -> str:
    """The reply to an edit that was made."""
    done = f"OK: {summary} Editable range: {format_ranges(document.ranges)}."
    return "\n\n".join(["\n".join([done, *notes]), render_regions(document)])


def render_script(document: Document, select: Sequence[LineRange] | None = None) -> str:
    """The script, or the selected lines of it, each with its number; `|` marks the lines that are read-only."""
    chosen = select if select is not None else [LineRange(1, document.total)]
    blocks = ["\n".join(_marked(document, n) for n in _inside(document, lines)) for lines in chosen]
    return f"\n{_GAP}\n".join(block for block in blocks if block)


def pointed(document: Document, line: int, column: int) -> str:
    """A line of the edited file with its number, and a caret under a column (counted from 1)."""
    text = document.lines[line - 1].rstrip("\n") if line <= document.total else ""
    start = max(column - _WIDTH // 2, 0) if len(text) > _WIDTH else 0
    before = text[start : column - 1].ljust(column - 1 - start)
    margin = "".join("\t" if character == "\t" else " " for character in before)
    return f"{line:>6}  {text[start : start + _WIDTH]}\n{'':8}{margin}^"


def _inside(document: Document, lines: LineRange) -> range:
    return range(max(lines.first, 1), min(lines.last, document.total) + 1)


def _region(document: Document, lines: LineRange) -> list[str]:
    if not len(lines):
        return [f"       (empty: insert after line {lines.last})"]
    numbers = range(lines.first, lines.last + 1)
    if len(lines) <= _WHOLE:
        return [_numbered(document, n) for n in numbers]
    hidden = f"{_GAP} ({len(lines) - 2 * _EDGE} more lines) ..."
    edges = numbers[:_EDGE], numbers[-_EDGE:]
    return [_numbered(document, n) for n in edges[0]] + [hidden] + [_numbered(document, n) for n in edges[1]]


def _numbered(document: Document, number: int) -> str:
    return f"{number:>6}  {document.lines[number - 1]}".rstrip()


def _marked(document: Document, number: int) -> str:
    mark = " " if any(number in lines for lines in document.ranges) else "|"
    return f"{number:>6} {mark} {document.lines[number - 1]}".rstrip()
