"""Where the new lines of an edit come from: an option, a file, stdin or a drop-in mechanism."""

import os
import stat
import sys
from pathlib import Path

from sandbox.errors import EditRefused, UsageError

READ_LIMIT = 64 * 2**20
"""Bytes. Far less is already refused as too large; a file without end must not fill the memory."""


def mechanism_file(key: str | None, region: str | None) -> Path | None:
    """The file of a drop-in mechanism. Raises UsageError for an unknown one, or without its region."""
    if key is None:
        return None
    from sandbox.mechanisms import find_mechanism
    from sandbox.paths import templates_dir

    found = find_mechanism(key, templates_dir(), region)
    if region is None:
        raise UsageError("--from goes with --region.", run=f"linbench edit --region {found.region} --from {found.key}")
    return found.path


class Content:
    """Where the new lines come from."""

    def __init__(self, text: str | None, file: Path | None, mechanism: Path | None):
        given = [source for source in (text, file, mechanism) if source is not None]
        if len(given) > 1:
            raise UsageError("Give one of --content, --content-file and --from.", run="linbench edit --help")
        self.text, self.file = text, file or mechanism
        self.given = bool(given)

    def read(self) -> str:
        """The new lines. Raises UsageError for a file that cannot be read or is not UTF-8."""
        if self.text is not None:
            return self.text
        if self.file is not None and str(self.file) != "-":
            return decode(read_file(self.file), str(self.file))
        if self.file is None and _nothing_is_piped():
            raise UsageError(
                "No content: give --content TEXT, --content-file FILE, or pipe the lines into stdin. "
                "To take lines out, use --delete.",
                run="linbench edit --range 33-70 --content-file new.py",
            )
        return decode(sys.stdin.buffer.read(READ_LIMIT), "stdin")


def _nothing_is_piped() -> bool:
    """Whether stdin is closed, a terminal or /dev/null: nobody meant lines to be replaced by what comes from there."""
    return sys.stdin is None or stat.S_ISCHR(os.fstat(sys.stdin.fileno()).st_mode)


def read_file(path: Path) -> bytes:
    """A file's bytes, up to a limit. Raises UsageError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(READ_LIMIT)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", run="linbench edit --help") from error


def decode(data: bytes, name: str) -> str:
    """UTF-8 text. Raises EditRefused naming the first byte that is not, its line and its column."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        raise EditRefused(
            f"{name} is not UTF-8: byte {error.start} (its line {line}) is {data[error.start]:#04x}. Save it as UTF-8.",
            run="linbench show",
        ) from error
