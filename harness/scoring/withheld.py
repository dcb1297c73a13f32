"""What may be repeated of a model's process that has been asked: its own words could tell what it was asked about.

Replies and logs are the agent's to read, validation text is not. So of an error there remain its type, where that is a
known one, and the lines of the script that it passed through, as the script's own file has them.
"""

import builtins
import re
from pathlib import Path

from harness.agent_traceback import agent_frames
from harness.files import read_regular

TYPES = {
    "OutOfMemoryError",
    *(name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)),
}
MOST_FRAMES = 8
MOST_SOURCE_BYTES = 2**24

_SHAPES = re.compile(r"the logits have the shape \([\d, ]{0,60}\) for tokens \([\d, ]{0,60}\)")


def error(told: str) -> str:
    """An error's type, and that its words are withheld."""
    name = told.partition(":")[0]
    known = name if name in TYPES else "an error"
    return f"{known}, whose words are withheld: it had been asked about text that stays unseen. See linbench check"


def traceback(told: str, source: Path) -> str:
    """The script's lines of a traceback, without anything else that it says. Raises IrregularFile, OSError."""
    lines = read_regular(source, MOST_SOURCE_BYTES).decode("utf-8", "replace").splitlines()
    numbers = [frame.line for frame in agent_frames(told, source) if 1 <= frame.line <= len(lines)][-MOST_FRAMES:]
    frames = [f'  File "{source}", line {number}\n    {lines[number - 1].strip()}' for number in numbers]
    return "\n".join(["Traceback (most recent call last):", *frames])


def shape(told: str) -> str:
    """What is wrong with the shape of an answer, as the server words it and in no other words."""
    return told if _SHAPES.fullmatch(told) else "the logits have another shape than (B, T, V)"
