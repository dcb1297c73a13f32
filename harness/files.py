"""Text files that are written whole or not at all, and files that somebody else may have put there, read with care."""

import errno
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Literal, overload

_STRANGE = {
    errno.ELOOP: "is a symbolic link",
    errno.ENXIO: "is a socket or a device",
    errno.EISDIR: "is a folder",
    errno.EACCES: "is closed to its owner",
}


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
    """Remove a file, a link (and not what it leads to) or a whole folder; nothing happens where there is none.

    The agent's code may have made the folder: however deep it is, whatever permissions are in it. Raises OSError.
    """
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        path.chmod(0o700)
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # no folder, or nothing at all
        path.unlink(missing_ok=True)
        return
    try:
        _empty(top)
    finally:
        os.close(top)
    path.rmdir()


def _empty(top: int) -> None:
    """Leave nothing in an open folder. What its folders hold is moved up into it, so that no path grows long."""
    os.fchmod(top, 0o700)
    numbers = itertools.count()
    while inner := _unlink_files(top):
        for name in inner:
            os.chmod(name, 0o700, dir_fd=top)
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
            try:
                for further in _unlink_files(folder):
                    os.chmod(further, 0o700, dir_fd=folder)
                    os.rename(further, _free_name(top, numbers), src_dir_fd=folder, dst_dir_fd=top)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)


def _unlink_files(folder: int) -> list[str]:
    """Unlink all that are no folders in an open folder; the names of those that are."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in found if is_folder]


def _free_name(folder: int, numbers: Iterator[int]) -> str:
    for number in numbers:
        try:
            os.lstat(name := f".removed-{number}", dir_fd=folder)
        except FileNotFoundError:
            return name
    raise AssertionError("numbers do not end")


@contextmanager
def temporary_folder(within: Path | None = None, prefix: str = "linbench-") -> Iterator[Path]:
    """An empty folder that is gone afterwards, whatever was made in it."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=within)).resolve()
    try:
        yield path
    finally:
        remove(path)


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
