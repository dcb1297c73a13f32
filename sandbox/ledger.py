"""A session's only state: a file of events, one JSON line each, that is appended to and never rewritten.

Each line carries the sha256 of itself and of the line before, so that a changed byte is found and its line named;
where the operator sets LINBENCH_LEDGER_KEY, an HMAC as well, so that nobody without the key can write a new chain.
"""

import hashlib
import hmac
import os
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from sandbox.errors import LedgerDamaged, MachineFault
from sandbox.events import Event
from sandbox.ledger_head import head_of, read_head, write_head

KEY_VARIABLE = "LINBENCH_LEDGER_KEY"
FIRST_PREVIOUS = "0" * 64
_SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"(?:,"hmac":"([0-9a-f]{64})")?\}\Z')
_SEAL_LENGTH = 160  # at least as long as the longest match of _SEAL


class Entry(Struct, frozen=True):
    """What a line says: an event, its place and its time."""

    seq: int
    """1 for the first event."""
    time: str
    """ISO 8601, UTC."""
    event: Event
    prev: str
    """The hash of the line before; 64 zeros in the first line."""


class _Line(Entry, frozen=True, forbid_unknown_fields=True):
    """An entry with its seal, as it stands in the file."""

    hash: str
    """sha256 of the line's bytes without the seal."""
    hmac: str | None = None
    """HMAC-SHA256 of `hash`; None where the operator set no key."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The ledger as it was read."""

    entries: tuple[Entry, ...]
    last_hash: str
    signed: bool
    """Whether the lines carry HMACs."""
    size: int
    """Bytes up to the end of the last whole line."""
    torn: int = 0
    """Bytes after it: a line that was being written when its process was killed. It never took effect."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The file at `path`. `append` is for the one process that holds the session's lock; anyone may `read`."""

    path: Path
    key: bytes | None = field(default_factory=lambda: os.environ.get(KEY_VARIABLE, "").encode() or None, repr=False)

    def read(self) -> Reading:
        """Read and check every line. Raises LedgerDamaged naming the first line that is not what was written."""
        head = read_head(self.path, self.key)  # first, so that a line written meanwhile is not missed
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise MachineFault(
                f"The ledger {self.path} cannot be read: {error.strerror}.", run="linbench start"
            ) from error
        *lines, tail = data.split(b"\n")
        entries: list[Entry] = []
        hashes: list[str] = []
        previous, signed = FIRST_PREVIOUS, False
        for number, line in enumerate(lines, 1):
            entry = self._check(line, number, previous)
            signed_before, signed = signed, entry.hmac is not None
            if number > 1 and signed != signed_before:
                raise self._damaged(number, f"it is {'' if signed else 'not '}signed, unlike the lines before it")
            previous = entry.hash
            hashes.append(previous)
            entries.append(entry)
        if head is not None and head.seq > len(entries):
            raise self._damaged(head.seq, "it was written, and is missing with all that follow it")
        if head is not None and head.hash != hashes[head.seq - 1]:
            raise self._damaged(head.seq, "it is not the line that was written")
        if tail and not _is_torn(tail):
            raise self._damaged(len(lines) + 1, "it is neither a whole line nor the beginning of one")
        return Reading(tuple(entries), previous, signed, len(data) - len(tail), len(tail))

    def append(self, after: Reading, event: Event) -> Reading:
        """Write `event` as the line that follows `after`, and return once it is on the disk.

        Raises MachineFault when it cannot be written; the ledger then ends as it did before.
        """
        if after.signed and self.key is None:
            raise MachineFault(
                f"This ledger is signed, but {KEY_VARIABLE} is not set. Set it to the key it began with."
            )
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = Entry(len(after.entries) + 1, time, event, after.last_hash)
        line, digest = self._seal(entry)
        assert b"\n" not in line
        _decoder.decode(line)  # an event that cannot be read back must not be written
        try:
            self._write(after, line + b"\n")
        except OSError as error:
            raise MachineFault(
                f"The event could not be written to {self.path}: {error.strerror}. Nothing was recorded. "
                "Make room or restore access, then repeat the command."
            ) from error
        self._write_head(entry.seq, digest)
        return Reading((*after.entries, entry), digest, self.key is not None, after.size + len(line) + 1)

    def _check(self, line: bytes, number: int, previous: str) -> _Line:
        seal = _SEAL.search(line, max(0, len(line) - _SEAL_LENGTH))
        if seal is None:
            raise self._damaged(number, "it does not end in its hash")
        digest, mac = seal.groups()
        if hashlib.sha256(line[: seal.start()]).hexdigest().encode() != digest:
            raise self._damaged(number, "its content does not match its hash")
        self._check_signature(digest, mac, number)
        try:
            entry = _decoder.decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise self._damaged(number, f"it is not an event of this version of linbench ({error})") from error
        if entry.seq != number or entry.prev != previous:
            raise self._damaged(number, "it does not follow the line before it")
        return entry

    def _check_signature(self, digest: bytes, mac: bytes | None, number: int) -> None:
        if self.key is None:
            return
        if mac is None:
            raise self._damaged(number, f"it carries no HMAC, but {KEY_VARIABLE} is set")
        if not hmac.compare_digest(_sign(self.key, digest), mac):
            raise self._damaged(number, f"its HMAC was not made with this {KEY_VARIABLE}")

    def _seal(self, entry: Entry) -> tuple[bytes, str]:
        body = msgspec.json.encode(entry)[:-1]
        digest = hashlib.sha256(body).hexdigest()
        mac = b"" if self.key is None else b',"hmac":"%b"' % _sign(self.key, digest.encode())
        return b'%b,"hash":"%b"%b}' % (body, digest.encode(), mac), digest

    def _write(self, after: Reading, line: bytes) -> None:
        new = not self.path.exists()
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(handle).st_size != after.size + after.torn:
                raise LedgerDamaged(f"{self.path} was changed by a process that did not hold the session's lock.")
            os.ftruncate(handle, after.size)
            os.lseek(handle, after.size, os.SEEK_SET)
            try:
                _write_all(handle, line)
                os.fsync(handle)
            except BaseException:
                os.ftruncate(handle, after.size)
                raise
        finally:
            os.close(handle)
        if new:
            sync_folder(self.path.parent)

    def _write_head(self, seq: int, digest: str) -> None:
        """The event is recorded whether this succeeds or not; a head that is behind is lawful."""
        try:
            write_head(self.path, seq, digest, self.key)
        except OSError as error:
            print(
                f"linbench: {head_of(self.path)} could not be written ({error}); the event is recorded.",
                file=sys.stderr,
            )

    def _damaged(self, number: int, what: str) -> LedgerDamaged:
        return LedgerDamaged(
            f"Line {number} of {self.path} is damaged: {what}. "
            "Put an intact copy of the file back, or open a new session.",
            run="linbench start",
        )


EMPTY = Reading((), FIRST_PREVIOUS, False, 0)
"""What a ledger that does not exist yet reads as."""

_decoder = msgspec.json.Decoder(_Line)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sign(key: bytes, digest: bytes) -> bytes:
    return hmac.digest(key, digest, "sha256").hex().encode()


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _is_torn(tail: bytes) -> bool:
    """Whether `tail` is a line that a kill cut short, rather than one that somebody changed.

    A cut line lacks only its line end, or is JSON that ends too early (perhaps within a number).
    """
    if _SEAL.search(tail):
        return True
    try:
        msgspec.json.decode(tail.rstrip(b"+-.0123456789eE"))
    except msgspec.DecodeError as error:
        return "truncated" in str(error)
    return False
