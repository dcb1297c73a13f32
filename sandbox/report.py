"""A reply in three forms: data for machines, and one list of blocks as plain text for pipes or as Rich on terminals."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Group, RenderableType


@dataclass(frozen=True, slots=True)
class Heading:
    """A line that says what follows."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one pair a line."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()
    """Columns of numbers, aligned to the right."""


@dataclass(frozen=True, slots=True)
class Code:
    """Text whose line ends and indentation count."""

    text: str
    language: Literal["diff", "markdown", "text"] = "text"


Block = Heading | Paragraph | Facts | Table | Code


@dataclass(frozen=True, slots=True)
class Report:
    """What a command answers."""

    data: dict[str, Any]
    """The facts, ready for JSON."""
    blocks: tuple[Block, ...] = field(default=())
    """The same for readers."""

    def text(self) -> str:
        """Plain text, ending in a newline."""
        return "\n\n".join(_plain(block) for block in self.blocks) + "\n"

    def rich(self) -> "Group":
        """A Rich renderable; nothing in it is read as markup."""
        from rich.console import Group
        from rich.padding import Padding

        spaced = (Paragraph, Facts, Code)  # a table's own frame ends in a blank line
        return Group(*(Padding(_rich(block), (0, 0, int(isinstance(block, spaced)), 0)) for block in self.blocks))


def printable(text: str) -> str:
    """The text with control characters written out, so that no name or traceback can steer a terminal.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


def _plain(block: Block) -> str:
    match block:
        case Heading(text):
            return printable(text)
        case Paragraph(text) | Code(text):
            return printable(text.rstrip("\n"))
        case Facts(pairs):
            width = max(len(name) for name, _ in pairs)
            return "\n".join(_hanging(f"{name:<{width}}  ", printable(value)) for name, value in pairs)
        case Table():
            return _plain_table(block)


def _hanging(name: str, value: str) -> str:
    return f"{name}{value}".replace("\n", "\n" + " " * len(name)).rstrip()


def _plain_table(table: Table) -> str:
    rows = [table.columns, *(tuple(map(printable, row)) for row in table.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.columns))]

    def cells(row: Iterable[str]) -> Iterable[str]:
        for name, cell, width in zip(table.columns, row, widths, strict=True):
            yield cell.rjust(width) if name in table.right else cell.ljust(width)

    return "\n".join("  ".join(cells(row)).rstrip() for row in rows)


def _rich(block: Block) -> "RenderableType":
    from rich import box
    from rich.markdown import Markdown
    from rich.syntax import Syntax
    from rich.table import Table as RichTable
    from rich.text import Text

    match block:
        case Heading(text):
            return Text(printable(text), style="bold")
        case Paragraph(text):
            return Text(printable(text))
        case Code(text, "markdown"):
            return Markdown(printable(text))
        case Code(text, language):
            return Syntax(printable(text), language, theme="ansi_dark", background_color="default", word_wrap=True)
        case Facts(pairs):
            grid = RichTable.grid(padding=(0, 2))
            for name, value in pairs:
                grid.add_row(Text(name, style="cyan"), Text(printable(value)))
            return grid
        case Table(columns, rows, right):
            table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
            for name in columns:
                table.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
            for row in rows:
                table.add_row(*(Text(printable(cell)) for cell in row))
            return table
