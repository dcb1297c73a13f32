"""Reports: plain text for pipes and Rich for terminals say the same, whatever the text holds."""

import io

from rich.console import Console

from sandbox.report import Block, Code, Facts, Heading, Paragraph, Report, Table, printable

BLOCKS: tuple[Block, ...] = (
    Heading("Title"),
    Paragraph("Some [bold]text[/bold]."),
    Facts((("loss", "2.5"), ("long name", "two\nlines"))),
    Table(("name", "value"), (("a", "1"), ("[red]b", "10")), frozenset({"value"})),
    Code("-a\n+b\n", "diff"),
)


def on_terminal(report: Report) -> str:
    """What a terminal of 80 columns shows, without its colours."""
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(report.rich())
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_plain_text_is_aligned() -> None:
    """Blocks are a blank line apart, columns are padded, numbers stand to the right."""
    assert Report({}, BLOCKS).text() == (
        "Title\n\n"
        "Some [bold]text[/bold].\n\n"
        "loss       2.5\nlong name  two\n           lines\n\n"
        "name    value\na           1\n[red]b     10\n\n"
        "-a\n+b\n"
    )


def test_terminal_shows_every_word_of_the_plain_text() -> None:
    """Nothing is lost on a terminal, and nothing that agents wrote is read as markup."""
    report = Report({}, BLOCKS)
    shown = on_terminal(report)
    assert [word for word in report.text().split() if word not in shown] == []


def test_control_characters_are_written_out() -> None:
    """A name or a traceback cannot steer the terminal, in either form."""
    report = Report({}, (Heading("a\x1b[2Jb\x07"), Code("\x1b]0;title\x07\n\ttab"), Facts((("n", "\r"),))))
    for text in (report.text(), on_terminal(report)):
        assert not set(text) & set("\x1b\x07\r")
        assert "\\x1b[2Jb\\x07" in text
    assert printable("Zoë 日本 🙂\n\t") == "Zoë 日本 🙂\n\t"
