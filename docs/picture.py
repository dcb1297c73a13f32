"""Draw docs/session.svg: run a real session's commands on a pseudo-terminal and let Rich export what they replied.

Run it from the checkout with linbench installed: `python docs/picture.py`. It trains the smoke profile: about a minute.
"""

import errno
import io
import os
import pty
import shlex
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from harness.files import write_atomically

PICTURE = Path(__file__).with_name("session.svg")
COLUMNS = 120
COMMANDS = (
    "linbench edit --region attention --content-file templates/attention/linear.py",
    "linbench test",
    "linbench submit 1",
)


def reply_on_terminal(command: str, environment: dict[str, str]) -> str:
    """What a command writes to a terminal, colours and all; its progress goes to our stderr.

    Raises SystemExit with the reply when it fails.
    """
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(shlex.split(command), stdout=its_end, env=environment)
    os.close(its_end)
    reply = b""
    try:
        while block := os.read(terminal, 65536):
            reply += block
    except OSError as error:
        if error.errno != errno.EIO:  # which is how Linux says that the other end was closed
            raise
    finally:
        os.close(terminal)
    text = reply.decode().replace("\r\n", "\n")
    if process.wait():
        raise SystemExit(f"{command} failed:\n{text}")
    return text


def main() -> None:
    """Run the commands in a session of their own and write the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    with tempfile.TemporaryDirectory() as runs:
        terminal = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        environment = {**os.environ, **terminal, "LINBENCH_RUNS": runs, "LINBENCH_AGENT": "you"}
        for command in COMMANDS:
            console.print(Text(f"$ {command}", style="bold green"))
            console.print(Text.from_ansi(reply_on_terminal(command, environment)))
    picture = console.export_svg(title="linbench", theme=MONOKAI, unique_id="session")
    write_atomically(PICTURE, picture)
    print(PICTURE)


if __name__ == "__main__":
    main()
