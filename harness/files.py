"""Text files that are written whole or not at all, and files that somebody else may have put there, read with care."""

import errno
import os
import shutil
import stat
import tempfile
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Literal, overload

_STRANGE = {errno.ELOOP: "is a symbolic link", errno.ENXIO: "is a socket or a device", errno.EISDIR: "is a folder"}


class IrregularFile(Exception):
    """A path of a run folder does not hold the plain file that belongs there."""


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text` through a temporary file beside it: a reader sees the old text or the new one.

    Raises OSError; the old file then stands.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def remove(path: Path) -> None:
    """Remove a file, a link (and not what it leads to) or a whole folder; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_regular(path: Path) -> bool:
    """Whether a plain file lies at the path itself, not behind a link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


@overload
def open_regular(path: Path, *, most_bytes: int | None = None, append: Literal[False] = False) -> BufferedReader: ...
@overload
def open_regular(path: Path, *, append: Literal[True]) -> BufferedWriter: ...
def open_regular(path: Path, *, most_bytes: int | None = None, append: bool = False) -> BufferedReader | BufferedWriter:
    """Open a file in a folder that the agent's code can write to; never waits for a pipe and never follows a link.

    `append` opens it for writing at its end, and makes it where there is none.
    Raises IrregularFile for anything but a plain file and for one of more than `most_bytes`, OSError as open does.
    """
    mode = os.O_WRONLY | os.O_APPEND | os.O_CREAT if append else os.O_RDONLY
    try:
        descriptor = os.open(path, mode | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in _STRANGE:
            raise IrregularFile(f"{path.name} {_STRANGE[error.errno]}, not a plain file") from error
        raise
    found = os.fstat(descriptor)
    plain = stat.S_ISREG(found.st_mode)
    if plain and (most_bytes is None or found.st_size <= most_bytes):
        return os.fdopen(descriptor, "ab") if append else os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if plain:
        raise IrregularFile(f"{path.name} has {found.st_size:,} bytes, and {most_bytes:,} at most are read")
    raise IrregularFile(f"{path.name} is a pipe, a folder or a device, not a plain file")


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a plain file of at most `most_bytes`, though it may be growing. Raises as open_regular does."""
    with open_regular(path, most_bytes=most_bytes) as file:
        return file.read(most_bytes)
