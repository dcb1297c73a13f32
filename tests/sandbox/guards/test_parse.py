"""A file that Python would not run is refused, with the place and the line itself."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.errors import EditRefused
from sandbox.guards.parse import parse

Framed = Callable[..., Document]

TEMPLATE = "import math\n#[ a\nx = 1\n#]\nprint(math.pi)\n"


def test_the_refusal_points_at_the_place(framed: Framed) -> None:
    """An open bracket is reported by line and column, with the line and a caret under the column."""
    with pytest.raises(EditRefused) as refusal:
        parse(framed(TEMPLATE).with_content(0, "y = 1\nx = print((1)\n"))
    lines = refusal.value.message.splitlines()
    assert "line 3, column 10: '(' was never closed" in lines[0]
    assert lines[1] == "     3  x = print((1)"
    assert lines[2].index("^") == lines[1].index("((")
    assert (refusal.value.line, refusal.value.column) == (3, 10)


def test_the_caret_stands_under_its_column_after_tabs(framed: Framed) -> None:
    """Tabs before the column are repeated before the caret, so that both lines are equally wide."""
    with pytest.raises(EditRefused) as refusal:
        parse(framed(TEMPLATE).with_content(0, "if x:\n\tx = $\n"))
    line, caret = refusal.value.message.splitlines()[1:3]
    assert line.index("$") == caret.index("^")
    assert "\t" in caret


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("return 1\n", "outside function"),
        ("def f(a, a):\n    pass\n", "duplicate argument"),
        ("break\n", "outside loop"),
        ("def f():\n    x = 1\n    global x\n", "global declaration"),
        ("def f():\n\tx = 1\n        y = 2\n", "inconsistent use of tabs"),
        ("from __future__ import annotations\n", "__future__"),
        ("await x\n", "outside function"),
        ("print 'x'\n", "parentheses"),
    ],
)
def test_what_only_the_compiler_finds_is_refused(framed: Framed, content: str, reason: str) -> None:
    """Mistakes that a grammar alone lets through are refused with the compiler's own words."""
    with pytest.raises(EditRefused, match=reason):
        parse(framed(TEMPLATE).with_content(0, content))


def test_an_error_in_a_frozen_line_says_where_to_look(framed: Framed) -> None:
    """When the parser stops in a read-only line, the refusal points to the region before it."""
    with pytest.raises(EditRefused, match="read-only: look at how the region before it ends"):
        parse(framed(TEMPLATE).with_content(0, "if x:\n"))


@pytest.mark.parametrize(
    "content", ["x = " + "1+" * 50_000 + "1\n", "x = " + "(" * 500 + ")" * 500 + "\n", "x = " + "-" * 5000 + "1\n"]
)
def test_deep_nesting_is_refused_rather_than_crashing(framed: Framed, content: str) -> None:
    """Expressions nested beyond any parser's stack are refused like other text that does not parse."""
    with pytest.raises(EditRefused):
        parse(framed(TEMPLATE).with_content(0, content))


def test_warnings_of_the_compiler_are_not_errors(framed: Framed) -> None:
    """An invalid escape sequence warns and passes."""
    parse(framed(TEMPLATE).with_content(0, "x = '\\d'\n"))
