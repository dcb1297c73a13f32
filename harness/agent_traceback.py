"""The agent's own lines of a traceback, with the script's line numbers; frames of libraries are left out."""

import re
from dataclasses import dataclass
from pathlib import Path

_FRAME = re.compile(r'\s+File "(?P<file>[^"]+)", line (?P<line>\d{1,9})(?:, in (?P<function>.+))?')


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of the script that a traceback passes through."""

    line: int
    function: str
    code: str


def agent_frames(text: str, source: Path) -> list[Frame]:
    """The frames of the last traceback in `text` that lie in the file `source`."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    found = []
    for number in range(starts[-1] if starts else 0, len(lines)):
        frame = _FRAME.fullmatch(lines[number])
        if frame and Path(frame["file"]) == source:
            code = lines[number + 1].strip() if number + 1 < len(lines) else ""
            found.append(Frame(int(frame["line"]), frame["function"] or "", code))
    return found


def format_frames(frames: list[Frame], file: str) -> str:
    """The frames as text, the innermost last, under the name by which the agent knows the file."""
    return "\n".join(f"  {file}, line {frame.line}{_inside(frame)}\n    {frame.code}" for frame in frames)


def _inside(frame: Frame) -> str:
    return f", in {frame.function}" if frame.function else ""
