"""Which tests ran the template as it is."""

from collections.abc import Callable

import pytest

from sandbox.events import Event
from sandbox.state import SessionState
from sandbox.untouched import is_untouched, may_be_submitted

DEEP = "a = " + "+".join(["1"] * 5000) + "\n"


@pytest.mark.parametrize(
    ("content", "untouched"),
    [
        ("# first region: lines 4 to 5\na = 1\n", True),
        ("\n\na = 1  # the same\n\n", True),
        ("a  =  1\n", True),
        ("a = 2\n", False),
        ("a = 1\na = 1\n", False),
        ('"""Words."""\na = 1\n', False),
        (DEEP, False),
    ],
)
def test_comments_and_layout_are_no_edit(
    play: Callable[..., SessionState], run_test: Callable[..., list[Event]], content: str, untouched: bool
) -> None:
    """What Python would do the same by the same words is the template; anything else is an edit."""
    state = play(*run_test(1, content, {"val_loss": 2.5}))
    assert is_untouched(state, state.tests[1]) is untouched
    assert may_be_submitted(state, state.tests[1]) is not untouched
