"""How far a ledger was written, in a file beside it: a chain alone does not show that its last lines were cut off.

Written after each line, so that a crash in between leaves it behind the ledger and never ahead of it. It stops no one
who puts an older copy of both files back.
"""

import hmac
import os
from pathlib import Path

import msgspec


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The last line that is known to have been written."""

    seq: int
    hash: str
    """That line's."""
    hmac: str | None = None
    """HMAC-SHA256 of the two; None where the operator set no key."""


def head_of(ledger: Path) -> Path:
    """The file beside a ledger."""
    return ledger.with_suffix(".head")


def read_head(ledger: Path, key: bytes | None) -> Head | None:
    """The head of a ledger; None where there is none, as in one of an earlier version, or none that the key signed.

    A power cut may have left an empty file: it says as little as a missing one.
    """
    try:
        head = msgspec.json.decode(head_of(ledger).read_bytes(), type=Head)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return head if key is None or head.hmac == _sign(key, head.seq, head.hash) else None


def write_head(ledger: Path, seq: int, digest: str, key: bytes | None) -> None:
    """Replace the head. Raises OSError; the old one, which is then behind, still stands."""
    head = Head(seq, digest, None if key is None else _sign(key, seq, digest))
    new = head_of(ledger).with_suffix(".head-new")
    new.write_bytes(msgspec.json.encode(head))
    os.replace(new, head_of(ledger))


def _sign(key: bytes, seq: int, digest: str) -> str:
    return hmac.digest(key, f"head {seq} {digest}".encode(), "sha256").hex()
