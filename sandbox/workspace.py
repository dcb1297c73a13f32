"""The workspace file: a copy of the script that the agent may also change with its own editor.

The ledger holds the script; this file follows it. A note beside it, `.synced.json`, tells a file that a crash left
behind the ledger from one that the agent has changed.
"""

import glob
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from harness.files import write_atomically
from sandbox.content import MAX_BYTES
from sandbox.errors import EditRefused
from sandbox.paths import SessionFolder


class Synced(msgspec.Struct, frozen=True):
    """What the workspace file was last written for."""

    seq: int
    """The event that made the text."""
    sha256: str
    """Of the text."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How the workspace file stands to the ledger."""

    status: Literal["same", "behind", "changed", "unreadable"]
    """behind: missing, or left so by a crash. changed: by the agent. unreadable: not a script file at all."""
    data: bytes | None = None
    """What the file holds; None where it is missing or unreadable."""
    problem: str = ""
    """Why it is unreadable."""


class NotPlain(Exception):
    """The path holds something else than a plain file of a script's size."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The workspace file of a session. Writing is for the process that holds the session's lock."""

    path: Path
    note: Path
    limit: int = 64 * MAX_BYTES
    """Largest file that is taken for a script, in bytes."""

    @classmethod
    def of(cls, folder: SessionFolder, file: str) -> "Workspace":
        """The workspace of a session whose script is called `file`."""
        return cls(folder.workspace(file), folder.synced)

    def inspect(self, text: str, seq: int) -> Finding:
        """Compare the file with `text`, which event `seq` made."""
        try:
            data = self._read(self.path)
        except NotPlain as error:
            return Finding("unreadable", problem=str(error))
        if data is None:
            return Finding("behind")
        synced = self._synced()
        if data == text.encode():
            return Finding("same" if synced.seq == seq else "behind", data)
        left_by_crash = synced.seq < seq and synced.sha256 == hashlib.sha256(data).hexdigest()
        return Finding("behind" if left_by_crash else "changed", data)

    def write(self, text: str, seq: int, *, over: bytes | None = None) -> Path | None:
        """Make the file hold `text`, which event `seq` made, and never write through a symbolic link.

        Whatever else than `text` or `over` stands there is moved aside first; returns where to. Raises OSError.
        """
        kept = self._make_way({text.encode(), over})
        write_atomically(self.path, text)
        self._write_note(Synced(seq, hashlib.sha256(text.encode()).hexdigest()))
        return kept

    def sweep(self) -> None:
        """Remove the temporary files of a process that was killed while it wrote. Raises OSError."""
        for left in self.path.parent.glob(f".{glob.escape(self.path.name)}.????????"):
            left.unlink()

    def _make_way(self, expected: set[bytes | None]) -> Path | None:
        folder = self.path.parent
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            _move_aside(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.note.is_symlink() or (self.note.exists() and not self.note.is_file()):
            _move_aside(self.note)
        try:
            data = self._read(self.path)
        except NotPlain:
            return _move_aside(self.path)
        return None if data is None or data in expected else _move_aside(self.path)

    def _write_note(self, synced: Synced) -> None:
        # In place and without waiting for the disk: the file now equals the ledger, and then no note is needed.
        handle = os.open(self.note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            os.write(handle, msgspec.json.encode(synced))
        finally:
            os.close(handle)

    def _synced(self) -> Synced:
        try:
            return msgspec.json.decode(self._read(self.note) or b"", type=Synced)
        except (NotPlain, msgspec.MsgspecError):
            return Synced(
                -1, ""
            )  # without its note, a file that differs counts as the agent's, so that nothing is lost

    def _read(self, path: Path) -> bytes | None:
        """The bytes of a plain file; None where there is no file."""
        if path.parent.is_symlink() or (path.parent.exists() and not path.parent.is_dir()):
            raise NotPlain(f"{path.parent} is not a folder")
        try:
            # O_NONBLOCK: opening a named pipe must not wait for its writer.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            what = "is a symbolic link" if path.is_symlink() else f"cannot be read ({error.strerror})"
            raise NotPlain(f"{path} {what}") from error
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise NotPlain(f"{path} is a {_kind(status.st_mode)}")
            if status.st_size > self.limit:
                raise NotPlain(f"{path} is {status.st_size:,} bytes; at most {self.limit:,} are read")
            with open(handle, "rb", closefd=False) as file:
                return file.read(self.limit)
        finally:
            os.close(handle)


def refuse(finding: Finding, path: Path) -> EditRefused:
    """The error for a workspace file that cannot be adopted because it is no script file."""
    return EditRefused(
        f"{finding.problem}, so it is not taken as the script. Put a plain file there, "
        "or let `linbench undo` put the recorded script back (what is there now is moved aside).",
        run="linbench undo",
    )


def _move_aside(path: Path) -> Path:
    kept = path.with_name(f"{path.name}.unsaved-{os.urandom(4).hex()}")
    os.rename(path, kept)
    return kept


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")
