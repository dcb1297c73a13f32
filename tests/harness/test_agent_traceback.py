"""The agent's own lines of real tracebacks."""

import subprocess
import sys
from pathlib import Path

from harness.agent_traceback import Frame, agent_frames, format_frames

SCRIPT = """\
import json

def outer(text):
    return inner(
        text
    )

def inner(text):
    try:
        return {}["missing"]
    except KeyError:
        return json.loads(text)

outer("{")
"""


def run(script: Path, text: str) -> str:
    script.write_text(text)
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False).stderr


def test_frames_of_libraries_and_of_earlier_exceptions_are_left_out(tmp_path: Path) -> None:
    """Of a chain of exceptions through a library, the script's lines of the last remain, outermost first."""
    script = tmp_path / "source.py"
    frames = agent_frames(run(script, SCRIPT), script)
    assert frames == [
        Frame(14, "<module>", 'outer("{")'),
        Frame(4, "outer", "return inner("),
        Frame(12, "inner", "return json.loads(text)"),
    ]
    assert format_frames(frames[2:], "nanoGPT/custom_pretrain.py") == (
        "  nanoGPT/custom_pretrain.py, line 12, in inner\n    return json.loads(text)"
    )


def test_a_file_of_the_same_name_elsewhere_is_not_the_script(tmp_path: Path) -> None:
    """Frames are the script's by its whole path."""
    script = tmp_path / "source.py"
    assert agent_frames(run(script, SCRIPT), tmp_path / "other" / "source.py") == []


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    """A script that Python cannot compile has one frame, in no function."""
    script = tmp_path / "source.py"
    frames = agent_frames(run(script, "a = 1\nb = (\n"), script)
    assert frames == [Frame(2, "", "b = (")]
    assert format_frames(frames, "toy.py") == "  toy.py, line 2\n    b = ("


def test_text_without_a_traceback_has_no_frames(tmp_path: Path) -> None:
    """Empty output and a traceback cut off at its end raise nothing."""
    script = tmp_path / "source.py"
    assert agent_frames("", script) == []
    cut = f'Traceback (most recent call last):\n  File "{script}", line 3, in f'
    assert agent_frames(cut, script) == [Frame(3, "f", "")]


def test_a_line_that_no_file_has_is_no_frame(tmp_path: Path) -> None:
    """An error's words may look like a frame with a number of thousands of digits."""
    script = tmp_path / "source.py"
    assert agent_frames(f'Traceback (most recent call last):\n  File "{script}", line {"9" * 5000}, in f', script) == []
