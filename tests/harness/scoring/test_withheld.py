"""What a model's process says of itself once it has been asked."""

from pathlib import Path

import pytest

from harness.scoring import withheld


@pytest.mark.parametrize(
    ("told", "kept"), [("KeyError: the text", "KeyError"), ("OutOfMemoryError: the text", "OutOfMemoryError")]
)
def test_an_error_keeps_its_type_alone(told: str, kept: str) -> None:
    """The words behind a known type are withheld."""
    assert withheld.error(told).startswith(f"{kept}, whose words are withheld")
    assert "the text" not in withheld.error(told)


def test_a_type_can_be_a_message_too() -> None:
    """A class whose name is the text would tell it."""
    assert withheld.error("TheTextOfTheValidation: x").startswith("an error, whose words")


def test_a_traceback_keeps_the_lines_of_the_script(tmp_path: Path) -> None:
    """They are read from the script itself; what the traceback claims of them, and other files, are left out."""
    source = tmp_path / "source.py"
    source.write_text("def f():\n    raise KeyError\n")
    told = f'Traceback (most recent call last):\n  File "{source}", line 2, in the_text\n    the text\n'
    told += f'  File "{source}", line 99, in f\n    the text\nKeyError: the text\n'
    assert withheld.traceback(told, source).splitlines() == [
        "Traceback (most recent call last):",
        f'  File "{source}", line 2',
        "    raise KeyError",
    ]


def test_a_shape_is_told_in_the_servers_words_or_not_at_all() -> None:
    """Numbers of a shape pass, other words do not."""
    told = "the logits have the shape (2, 3) for tokens (2, 4)"
    assert withheld.shape(told) == told
    assert "the text" not in withheld.shape("the text")
