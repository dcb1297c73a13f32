"""What an agent hands in becomes text that a script can hold, or is refused with the place."""

import pytest

from sandbox.content import MAX_BYTES, clean_content
from sandbox.errors import EditRefused


@pytest.mark.parametrize("text", ["", "x\n", "\tx\n", "\x0c\n", "é = '😀' # [red]markup[/]\n", "x\u2028y\n", "\n\n"])
def test_ordinary_text_survives(text: str) -> None:
    """Tabs, form feeds, markup, emoji and odd separators come through unchanged, from text and from bytes."""
    assert clean_content(text) == (text, ())
    assert clean_content(text.encode()) == (text, ())


def test_a_last_newline_is_added() -> None:
    """Content always ends its last line."""
    assert clean_content("x") == ("x\n", ())


def test_windows_line_ends_are_turned_and_noted() -> None:
    """CRLF becomes LF, and the reply says so."""
    text, notes = clean_content(b"x\r\ny\r\n")
    assert text == "x\ny\n"
    assert "CRLF" in notes[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"ab\xff", "byte 0xff at offset 2"),
        ("x\ny\0\n", "NUL character at line 2, column 2"),
        ("x\ry\n", "carriage return .* line 1, column 2"),
        ("\ufeffx\n", "byte order mark"),
        ("\ud800", "lone surrogate"),
        (b"x" * (MAX_BYTES + 1), "1,048,577 bytes; the limit is 1,048,576 bytes"),
        ("é" * MAX_BYTES, "the limit is"),
    ],
)
def test_what_a_script_cannot_hold_is_refused(content: bytes | str, reason: str) -> None:
    """The refusal says what is wrong and where."""
    with pytest.raises(EditRefused, match=reason):
        clean_content(content)
