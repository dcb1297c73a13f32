"""One edit, from operation to reply."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.editor import edit
from sandbox.errors import EditRefused
from sandbox.operations import Delete, Insert, Load, Operation, Replace, Substitute

Framed = Callable[..., Document]

TEMPLATE = "import math\n#[ a\nx = 1\n#]\nprint(math.pi, x)\n#[ b\ny = 2\n#]\nprint(y)\n"


def test_a_lawful_edit_replies_with_ranges_and_view(framed: Framed) -> None:
    """The reply opens with what was done and the new ranges, and the script is whole."""
    reply = edit(framed(TEMPLATE), Replace(2, 2, "x = 1\nz = 3"), {})
    assert reply.text.startswith(
        "OK: Replaced lines 2..2 with 2 line(s) in toys/toy.py. Editable range: 2–3, 5–5.\n\n[Current"
    )
    assert reply.document.text == "import math\nx = 1\nz = 3\nprint(math.pi, x)\ny = 2\nprint(y)\n"
    assert (reply.whole, reply.problem, reply.notes) == (True, None, ())


def test_a_broken_edit_is_refused_with_the_command_for_its_region(framed: Framed) -> None:
    """The refusal points into the edited file and names the range to edit as it stands now."""
    with pytest.raises(EditRefused, match="line 4, column 5") as refusal:
        edit(framed(TEMPLATE), Replace(4, 4, "y = ("), {})
    assert refusal.value.run == "linbench edit --range 4-4"


def test_a_partial_edit_is_staged(framed: Framed) -> None:
    """With `partial`, a script that is not whole is accepted, said to lack something, and can be completed."""
    staged = edit(framed(TEMPLATE), Replace(2, 2, "x = ("), {}, partial=True)
    assert not staged.whole
    assert staged.problem is not None
    assert "not whole yet" in staged.text
    done = edit(staged.document, Insert(2, "1)\n"), {}, partial=True)
    assert (done.whole, done.problem) == (True, None)


@pytest.mark.parametrize(
    "operation",
    [
        Replace(2, 2, "x = 4\r\n"),
        Insert(2, "x = 4\r\n"),
        Substitute("x = 1\r\n", "x = 4\r\n"),
        Load("import math\r\nx = 4\r\nprint(math.pi, x)\r\ny = 2\r\nprint(y)\r\n"),
    ],
)
def test_every_operation_cleans_its_content(framed: Framed, operation: Operation) -> None:
    """CRLF line ends are turned into LF whichever way content comes in, with a note."""
    reply = edit(framed(TEMPLATE), operation, {})
    assert "\r" not in reply.document.text
    assert "x = 4\n" in reply.document.text
    assert "CRLF" in reply.notes[0]


def test_a_substitution_inside_a_line_keeps_the_line(framed: Framed) -> None:
    """A replacement without newline does not break the line that it stands in."""
    reply = edit(framed(TEMPLATE), Substitute("= 1", "= 4  # four"), {})
    assert reply.document.lines[1] == "x = 4  # four\n"


def test_deleting_what_frozen_code_uses_is_left_to_the_run(framed: Framed) -> None:
    """Taking out a name that frozen code reads parses, and is lawful unless the task requires the name."""
    assert edit(framed(TEMPLATE), Delete(2, 2), {}).whole
    with pytest.raises(EditRefused, match="must define 'x'"):
        edit(framed(TEMPLATE, {"a": ("x",)}), Delete(2, 2), {})
