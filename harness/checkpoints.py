"""The newest checkpoints of a run: kept beside the current one, so that a damaged file costs minutes and not the run.

A kept checkpoint is a second name of the same file, made when the script says that it has written one. Torch-free.
"""

import errno
import os
import re
import zipfile
from pathlib import Path

from harness.files import IrregularFile, is_regular, remove
from harness.run_folder import RunFolder

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}
"""What a file system says that knows no second names; there the current checkpoint is the only one."""

_WRITTEN = re.compile(r"CHECKPOINT: step=(\d{1,12})")


def kept(folder: RunFolder) -> list[Path]:
    """The kept checkpoints, the newest first."""
    names = folder.root.glob(f"{folder.checkpoint.stem}-*{folder.checkpoint.suffix}")
    return sorted(names, key=lambda path: path.name, reverse=True)


def keep(folder: RunFolder, line: str, most: int) -> None:
    """Where `line` says that a checkpoint was written, keep it, and only the `most` newest.

    The script goes on meanwhile, and may have moved what it announced. Raises IrregularFile where a folder lies in
    the place of a kept one.
    """
    written = _WRITTEN.fullmatch(line)
    if written is None or not is_regular(folder.checkpoint):
        return
    name = folder.checkpoint.with_stem(f"{folder.checkpoint.stem}-{int(written[1]):012d}")
    _drop(name)
    try:
        os.link(folder.checkpoint, name)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in _NO_LINKS:
            return
        raise
    for old in kept(folder)[max(1, most) :]:
        _drop(old)


def restore(folder: RunFolder) -> bool:
    """Put the newest whole checkpoint in the place of one that is not; whether there was need to."""
    if not is_regular(folder.checkpoint) or _whole(folder.checkpoint):
        return False
    for path in kept(folder):
        if _whole(path):
            put_in_place(folder, path)
            return True
    return False


def put_in_place(folder: RunFolder, path: Path) -> None:
    """Let a run go on from one of its kept checkpoints."""
    copy = folder.checkpoint.with_suffix(".restored")
    remove(copy)
    os.link(path, copy)
    os.replace(copy, folder.checkpoint)


def drop_kept(folder: RunFolder) -> None:
    """A finished run needs its last checkpoint alone."""
    for path in kept(folder):
        remove(path)


def _drop(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError as error:
        raise IrregularFile(f"{path.name!a} is a folder, not a plain file") from error


def _whole(path: Path) -> bool:
    """Whether the file's directory of contents, which torch writes last, is there."""
    return is_regular(path) and zipfile.is_zipfile(path)
