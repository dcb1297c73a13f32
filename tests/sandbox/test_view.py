"""Replies show a script in the published form."""

from sandbox.document import Document, Frame, LineRange
from sandbox.schema import Region
from sandbox.view import pointed, render_regions, render_script, render_success

FRAME = Frame("d/f.py", (Region("a", 2, 9), Region("b", 11, 12)), "".join(f"  line {n}\n" for n in range(1, 14)))

VIEW = """\
[Current file: d/f.py | editable: 2–9, 11–12 | total: 13 lines]
     2    line 2
     3    line 3
     4    line 4
       ... (2 more lines) ...
     7    line 7
     8    line 8
     9    line 9
       ...
    11    line 11
    12    line 12"""


def test_long_regions_lose_their_middle() -> None:
    """A region of more than six lines shows three at each end and how many are left out; others show whole."""
    document = Document.original(FRAME)
    assert render_regions(document) == VIEW
    assert "more lines" not in render_regions(document.with_content(0, "x\n" * 6))


def test_an_empty_region_says_where_to_insert() -> None:
    """An emptied region shows the line to insert after; a blank line shows its number alone."""
    document = Document.original(FRAME).with_content(0, "").with_content(1, "\n")
    assert render_regions(document).split("\n")[1:] == [
        "       (empty: insert after line 1)",
        "       ...",
        "     3",
    ]


def test_a_success_has_the_published_form() -> None:
    """A success opens with OK and the ranges, and ends in the view."""
    document = Document.original(FRAME)
    success = render_success(document, "Replaced lines 2..9 with 8 line(s) in d/f.py.", ["A note."])
    head = "OK: Replaced lines 2..9 with 8 line(s) in d/f.py. Editable range: 2–9, 11–12."
    assert success == f"{head}\nA note.\n\n{VIEW}"


def test_the_script_marks_read_only_lines() -> None:
    """`show` numbers lines, marks the read-only ones, and clips a selection to the file."""
    document = Document.original(FRAME)
    shown = render_script(document, [LineRange(1, 2), LineRange(13, 99)])
    assert shown.split("\n") == ["     1 |   line 1", "     2     line 2", "       ...", "    13 |   line 13"]
    assert len(render_script(document).split("\n")) == 13


def test_a_long_line_is_shown_around_the_place() -> None:
    """An error in a very long line shows the part with the place, and the caret stands under it."""
    document = Document.original(FRAME).with_content(0, "x" * 5000 + "$" + "y" * 5000 + "\n")
    line, caret = pointed(document, 2, 5001).split("\n")
    assert len(line) < 250
    assert line.index("$") == caret.index("^")
