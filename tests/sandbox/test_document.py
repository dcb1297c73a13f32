"""A document is frozen text with contents between, and everything else follows from that."""

from collections.abc import Callable

from sandbox.document import Document, Frame, LineRange, format_ranges, split_lines
from sandbox.schema import Region

Framed = Callable[..., Document]

TEMPLATE = "one\n#[ a\ntwo\nthree\n#]\nfour\n#[ b\nfive\n#]\nsix\n"


def test_the_original_is_the_template(framed: Framed) -> None:
    """An untouched document has the template's text, its ranges and its number of lines."""
    document = framed(TEMPLATE)
    assert document.text == document.frame.template == "one\ntwo\nthree\nfour\nfive\nsix\n"
    assert document.ranges == (LineRange(2, 3), LineRange(5, 5))
    assert document.total == 6


def test_ranges_move_with_the_contents(framed: Framed) -> None:
    """A longer content moves every range behind it, and an emptied one has a range that ends before it begins."""
    document = framed(TEMPLATE).with_content(0, "x\n" * 5).with_content(1, "")
    assert document.ranges == (LineRange(2, 6), LineRange(8, 7))
    assert len(document.ranges[1]) == 0
    assert document.lines[6:] == ["four\n", "six\n"]
    assert document.total == 8


def test_ranges_are_written_with_an_en_dash() -> None:
    """Replies write ranges with an en dash, and commands take them with a hyphen."""
    assert format_ranges([LineRange(33, 79), LineRange(97, 109)]) == "33–79, 97–109"
    assert LineRange(33, 79).option == "33-79"


def test_only_a_newline_ends_a_line() -> None:
    """Form feeds, vertical tabs and Unicode line separators stay inside their line, as for Python's parser."""
    text = "a\x0cb\x0bc\u2028d\x85e\nf"
    assert split_lines(text) == ["a\x0cb\x0bc\u2028d\x85e\n", "f"]
    assert split_lines("") == []


def test_adjacent_regions_and_regions_at_the_edges_are_held_apart() -> None:
    """Two regions that touch, at the very beginning and end of a file, have empty frozen text around them."""
    frame = Frame("f.py", (Region("a", 1, 1), Region("b", 2, 3)), "one\ntwo\nthree")
    document = Document.original(frame)
    assert frame.frozen == ("", "", "")
    assert document.contents == ("one\n", "two\nthree")
    assert document.text == frame.template
    assert document.ranges == (LineRange(1, 1), LineRange(2, 3))


def test_the_revision_is_the_sha256_of_the_text(framed: Framed) -> None:
    """Equal texts have equal revisions, and other texts other ones."""
    document = framed(TEMPLATE)
    assert document.revision_sha() == document.with_content(0, "two\nthree\n").revision_sha()
    assert document.revision_sha() != document.with_content(0, "two\n").revision_sha()
    assert len(document.revision_sha()) == 64


def test_a_region_is_found_by_name(framed: Framed) -> None:
    """Names give the region's index; unknown ones give None."""
    assert framed(TEMPLATE).region_named("b") == 1
    assert framed(TEMPLATE).region_named("c") is None
