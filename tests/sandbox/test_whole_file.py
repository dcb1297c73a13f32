"""A whole file is read back by its frozen text, or refused with the lines that differ."""

from collections.abc import Callable

import pytest

from sandbox.document import Document, Frame
from sandbox.errors import EditRefused
from sandbox.schema import Region
from sandbox.whole_file import document_from_text

Framed = Callable[..., Document]

TEMPLATE = "one\n#[ a\ntwo\n#]\nthree\n\n#[ b\nfour\n#]\nfive\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0ne\ntwo\nthree\n\nfour\nfive\n", "line 1 changed"),
        ("one\ntwo\nthree\nfour\nfive\n", "line 4 deleted"),
        ("one\ntwo\nthree\nnew\n\nfour\nfive\n", "1 line.s. inserted after line 3"),
        ("new\none\ntwo\nthree\n\nfour\nfive\n", "1 line.s. inserted before line 1"),
        ("one\ntwo\nthree\n\nfour\nfive\nsix\n", "1 line.s. inserted after line 6"),
        ("", "lines 1..6 deleted"),
        ("one\r\ntwo\nthree\n\nfour\nfive\n", "line 1 changed"),
    ],
)
def test_a_change_outside_the_regions_is_named(framed: Framed, text: str, what: str) -> None:
    """The refusal names the read-only lines that were changed, deleted or inserted."""
    with pytest.raises(EditRefused, match=f"outside the editable range: .*{what}"):
        document_from_text(framed(TEMPLATE).frame, text)


@pytest.mark.parametrize("contents", [("", ""), ("x\n", ""), ("three\n\n", "five\n"), ("three\n\nthree\n\n", "one\n")])
def test_contents_that_look_like_frozen_text_keep_the_text(framed: Framed, contents: tuple[str, ...]) -> None:
    """Copies of frozen lines inside regions are no obstacle: the text stays as it is."""
    document = Document(framed(TEMPLATE).frame, contents)
    assert document_from_text(document.frame, document.text).text == document.text


def test_the_previous_document_decides_an_ambiguous_place(framed: Framed) -> None:
    """When the frozen text between two regions occurs twice, the place nearest to the last document is taken."""
    frame = framed("#[ a\ntwo\n#]\n\n#[ b\nfour\n#]\nfive\n").frame
    previous = Document(frame, ("x = 1\n\ny = 2\n", "z = 3\n\nw = 4\n"))
    edited = previous.with_content(1, "z = 3\n\nw = 5\n")
    assert document_from_text(frame, edited.text, previous) == edited


@pytest.mark.parametrize(("template", "text"), [("one\ntwo", "one\nx\n"), ("one\ntwo\n", "one\nx")])
def test_a_missing_newline_at_the_end_is_no_difference(template: str, text: str) -> None:
    """Editors that add or drop the last newline change nothing outside the regions."""
    for region in (Region("a", 1, 1), Region("a", 2, 2)):
        frame = Frame("f.py", (region,), template)
        given = text if region.first == 2 else text.replace("x", "two")
        loaded = document_from_text(frame, given)
        assert loaded.text.rstrip("\n") == given.rstrip("\n")


def test_a_large_file_is_refused_quickly(framed: Framed) -> None:
    """A file with very many lines that is not the script is refused without a long diff."""
    with pytest.raises(EditRefused, match="outside the editable range"):
        document_from_text(framed(TEMPLATE).frame, "x\n" * 300_000)
