"""What each operation makes of a document, in the published wording."""

from collections.abc import Callable

import pytest

from sandbox.document import Document, Frame, LineRange
from sandbox.errors import EditRefused, LinbenchError, UsageError
from sandbox.operations import Delete, Insert, Load, Operation, Replace, Substitute, apply
from sandbox.schema import Region

Framed = Callable[..., Document]


@pytest.fixture
def script() -> Document:
    """438 numbered lines with regions at 33-70, 88-100 and 246-248."""
    regions = (Region("a", 33, 70), Region("b", 88, 100), Region("c", 246, 248))
    return Document.original(Frame("f.py", regions, "".join(f"line{n}\n" for n in range(1, 439))))


def test_a_published_session_gives_its_published_ranges(script: Document) -> None:
    """Replacements move the ranges behind them by as many lines as they add."""
    steps = [
        (Replace(33, 70, "x\n" * 47), "33–79, 97–109, 255–257", 447),
        (Replace(255, 257, "x\n" * 3), "33–79, 97–109, 255–257", 447),
        (Replace(33, 79, "x\n" * 55), "33–87, 105–117, 263–265", 455),
        (Replace(33, 87, "x\n" * 57), "33–89, 107–119, 265–267", 457),
    ]
    for operation, ranges, total in steps:
        script = apply(script, operation).document
        assert (", ".join(map(str, script.ranges)), script.total) == (ranges, total)


@pytest.mark.parametrize(
    ("operation", "summary", "first"),
    [
        (Replace(33, 70, "x\ny\n"), "Replaced lines 33..70 with 2 line(s) in f.py.", LineRange(33, 34)),
        (Replace(34, 34, ""), "Replaced lines 34..34 with 0 line(s) in f.py.", LineRange(33, 69)),
        (Insert(40, "x\n\n\n"), "Inserted 3 line(s) after line 40 in f.py.", LineRange(33, 73)),
        (Insert(32, "x\n"), "Inserted 1 line(s) after line 32 in f.py.", LineRange(33, 71)),
        (Insert(70, "x\n"), "Inserted 1 line(s) after line 70 in f.py.", LineRange(33, 71)),
        (Delete(40, 42), "Deleted lines 40..42 in f.py.", LineRange(33, 67)),
        (Delete(33, 70), "Deleted lines 33..70 in f.py.", LineRange(33, 32)),
        (Substitute("line40\nline41\n", "x\n"), "Replaced 1 occurrence (lines 40..41) in f.py.", LineRange(33, 69)),
    ],
)
def test_the_summary_says_what_was_done(script: Document, operation: Operation, summary: str, first: LineRange) -> None:
    """Each operation changes the region's length and says so."""
    edited = apply(script, operation)
    assert edited.summary == summary
    assert edited.document.ranges[0] == first
    assert edited.document.frame is script.frame


@pytest.mark.parametrize(
    ("operation", "message", "run"),
    [
        (
            Replace(30, 40, ""),
            "Lines 30..40 exceed the editable range. You may only edit lines 33–70, 88–100, 246–248.",
            "33-70",
        ),
        (Replace(60, 90, ""), "Lines 60..90 exceed", "33-70"),
        (Replace(300, 500, ""), "Lines 300..500 exceed the editable range. .* The file has 438 lines", "33-70"),
        (Replace(0, 3, ""), "Lines 0..3 exceed", "33-70"),
        (Delete(1, 1), "Lines 1..1 exceed", "33-70"),
        (
            Insert(26, ""),
            "Cannot insert after line 26 — target is outside the editable range. You may only edit lines 33",
            "70",
        ),
        (Insert(0, ""), "Cannot insert after line 0 — target", "70"),
        (Insert(-1, ""), "Cannot insert after line -1 — target", "70"),
        (Insert(9999, ""), "Cannot insert after line 9999 — target", "70"),
        (Substitute("line5\n", "x"), "Lines 5..5 exceed the editable range", "33-70"),
        (Substitute("line70\nline71\n", "x"), "Lines 70..71 exceed the editable range", "33-70"),
        (Substitute("nowhere", "x"), "does not occur in the file", "linbench show"),
        (Substitute("line4", "x"), r"occurs 10 times \(from lines 40, 41, 42, 43, 44, \.\.\.\)", "linbench show"),
    ],
)
def test_a_refusal_says_what_may_be_edited(script: Document, operation: Operation, message: str, run: str) -> None:
    """What lies outside the regions is refused with the editable ranges and the command to run next."""
    with pytest.raises(EditRefused, match=message) as refusal:
        apply(script, operation)
    assert refusal.value.run is not None
    assert refusal.value.run.endswith(run)


@pytest.mark.parametrize("operation", [Replace(40, 34, ""), Delete(70, 33), Substitute("", "x")])
def test_a_meaningless_operation_is_a_usage_error(script: Document, operation: Operation) -> None:
    """Reversed ranges and an empty search text are mistakes of usage."""
    with pytest.raises(UsageError):
        apply(script, operation)


def test_an_emptied_region_can_be_filled_again(script: Document) -> None:
    """Inserting behind the line before an emptied region, or replacing its empty range, fills it."""
    empty = apply(script, Delete(33, 70)).document
    for operation in (Insert(32, "x\n"), Replace(33, 32, "x\n")):
        assert apply(empty, operation).document.contents[0] == "x\n"


def test_a_text_without_newline_ends_its_line(framed: Framed) -> None:
    """Edits of a last line that lacks its newline keep lines apart."""
    document = Document.original(Frame("f.py", (Region("a", 1, 2),), "one\ntwo"))
    assert apply(document, Insert(2, "three\n")).document.text == "one\ntwo\nthree\n"
    assert apply(framed("#[ a\none\n#]\ntwo\n"), Substitute("one\n", "x")).document.text == "x\ntwo\n"


def test_loading_a_file_takes_the_regions_over(script: Document) -> None:
    """A whole file whose changes lie in regions is taken; the summary counts the regions that changed."""
    text = script.text.replace("line90\n", "x\ny\n").replace("line246\n", "")
    edited = apply(script, Load(text))
    assert edited.document.text == text
    assert edited.summary == "Loaded f.py: 2 region(s) changed."


def test_operations_change_no_document(script: Document) -> None:
    """The document before an operation is still what it was, so that undo restores the exact text."""
    before = script.text
    for operation in (Delete(33, 70), Load(script.text), Replace(1, 2, "x\n")):
        try:
            apply(script, operation)
        except LinbenchError:
            pass
    assert script.text == before
