"""manifest.json: what a prepared data set is made of, and the hash by which results name it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from harness.data.errors import DataError
from harness.files import write_atomically

MANIFEST = "manifest.json"

BYTES_A_TOKEN = 2
"""uint16."""


class ShardFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a split."""

    file: str
    """File name inside the data set's folder."""
    tokens: int
    """Tokens in it; 0 in a file of text."""
    sha256: str
    """Of the file's bytes."""


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files of one split in reading order."""

    files: tuple[ShardFile, ...]
    tokens: int
    """End-of-text tokens included; 0 in a split of text."""
    documents: int

    @property
    def sha256(self) -> str:
        """Hash over the files' hashes in order, one a line."""
        return _hash_lines(file.sha256 for file in self.files)


class SourceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a data set was made from."""

    file: str
    """Path relative to the source that was given, or hf://datasets/NAME."""
    sha256: str
    """Of the file's bytes; a hub data set's revision."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prepared data set."""

    name: str
    kind: Literal["tokens", "evaluation", "tokenizer"]
    """tokens: shards to train on; evaluation: text to score on; tokenizer: a vocabulary alone."""
    tokenizer: str
    """gpt2, bytes, characters or bpe:N; "" in a data set of text."""
    vocab_size: int
    """Token ids run from 0 to vocab_size - 1; 0 in a data set of text."""
    end_of_text: int | None
    """The token after each document; None where the tokenizer has none."""
    dtype: str
    """uint16 (little-endian, no header), or jsonl or text."""
    splits: dict[str, Split]
    split_rule: str
    """How documents were dealt to the splits, in words."""
    sources: tuple[SourceFile, ...]
    created: str
    """ISO 8601, UTC; not part of sha256."""
    sha256: str
    """Hash over the splits' hashes: equal for equal contents, whatever the time, place and number of processes."""


def content_hash(splits: dict[str, Split]) -> str:
    """The data set's sha256: over one line `name hash` a split, in the order of the names."""
    return _hash_lines(f"{name} {splits[name].sha256}" for name in sorted(splits))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json atomically, readable by whoever can read the folder. Raises OSError."""
    path = folder / MANIFEST
    write_atomically(path, msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode() + "\n")
    path.chmod(0o644)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in `folder`; None where there is none. Raises DataError when it cannot be read as one."""
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is not a manifest that this version reads ({error}); move the folder away and prepare it again.",
            run=f"mv {folder} {folder}.old",
        ) from error


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_lines(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
