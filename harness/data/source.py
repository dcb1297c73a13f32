"""What a data set is made from: documents in a fixed order, read again from any position after an interruption."""

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol

import msgspec

from harness.data.compression import SUFFIXES, open_source, plain_suffix
from harness.data.errors import DataError
from harness.data.manifest import SourceFile, hash_file
from harness.data.readers.jsonl import jsonl_documents
from harness.data.readers.parquet import parquet_documents
from harness.data.readers.text import text_documents

BLOCK_CHARACTERS = 16384
"""Length of the blocks that a text without separators is cut into."""
FORMATS = (".txt", ".jsonl", ".parquet")
_TOKENIZER_FILES = ("merges.txt", "vocab.txt")

Position = Any
"""Plain JSON that says which document comes next; None for the first."""


class Reader(Protocol):
    """One pass over the documents."""

    def __iter__(self) -> Iterator[str]:
        """The documents from the position on, without empty ones."""

    @property
    def position(self) -> Position:
        """Where a later reader goes on after the document yielded last."""

    @property
    def fraction(self) -> float | None:
        """How much of the source has been read, 0 to 1; None where its length is unknown."""


class Source(Protocol):
    """Documents that can be read any number of times."""

    def identify(self) -> tuple[SourceFile, ...]:
        """Names and hashes that tell this source from another."""

    def read(self, position: Position = None) -> Reader:
        """Begin a pass at a position."""

    def with_blocks(self, characters: int) -> "Source":
        """The same source with text that has no separators cut into blocks of this length."""


class LocalSource(msgspec.Struct, frozen=True):
    """Files on this machine, in the order given."""

    files: tuple[Path, ...]
    names: tuple[str, ...]
    """The files' names in the manifest, independent of where they lie."""
    block: int = BLOCK_CHARACTERS

    def identify(self) -> tuple[SourceFile, ...]:
        return tuple(SourceFile(name, hash_file(path)) for path, name in zip(self.files, self.names, strict=True))

    def read(self, position: Position = None) -> "LocalReader":
        file, document = position or (0, 0)
        return LocalReader(self, file, document)

    def with_blocks(self, characters: int) -> "LocalSource":
        return msgspec.structs.replace(self, block=characters)


class LocalReader:
    """A pass over local files; `position` is [index of the file, documents of it already read]."""

    def __init__(self, source: LocalSource, file: int, document: int):
        self._source, self._file, self._document = source, file, document
        self._sizes = [path.stat().st_size for path in source.files]
        self._inside = 0.0

    @property
    def position(self) -> Position:
        return [self._file, self._document]

    @property
    def fraction(self) -> float:
        done = sum(self._sizes[: self._file]) + self._inside
        return min(1.0, done / max(1, sum(self._sizes)))

    def __iter__(self) -> Iterator[str]:
        while self._file < len(self._source.files):
            path = self._source.files[self._file]
            for number, text in enumerate(self._documents(path), 1):
                if number > self._document:
                    self._document = number
                    if text and not text.isspace():
                        yield text
            self._file, self._document, self._inside = self._file + 1, 0, 0.0

    def _documents(self, path: Path) -> Iterator[str]:
        if plain_suffix(path) == ".parquet":
            for text, fraction in parquet_documents(path):
                self._inside = fraction * self._sizes[self._file]
                yield text
            return
        with open_source(path) as (raw, file):
            jsonl = plain_suffix(path) == ".jsonl"
            texts = jsonl_documents(file, path) if jsonl else text_documents(file, path, self._source.block)
            for text in texts:
                self._inside = raw.tell()
                yield text


def find_files(given: list[Path], wants: str, patterns: tuple[str, ...] = ("*",)) -> LocalSource:
    """The source made of the files given and of the .txt, .jsonl and .parquet files below the folders given.

    Files below folders count where their name fits one of the patterns.

    Raises DataError, saying what is wanted, where a path does not exist, is empty or holds nothing that can be read.
    """
    found: dict[Path, str] = {}
    for path in given:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if _readable(file, patterns))
            found |= {file: file.relative_to(path).as_posix() for file in inside}
        elif path.is_file():
            found[path] = path.name
        else:
            raise DataError(f"there is no file or folder {path}. Wanted: {wants}.")
    empty = [str(path) for path in found if path.stat().st_size == 0]
    if empty:
        raise DataError(f"{', '.join(empty)} is empty. Remove it from the source, or fetch it again.")
    if not found:
        kinds = f"{', '.join(FORMATS)}, plain or compressed ({', '.join(SUFFIXES)})"
        raise DataError(
            f"{', '.join(map(str, given))} holds no file of a format that is read: {kinds}. Wanted: {wants}."
        )
    return LocalSource(tuple(found), tuple(found.values()))


def _readable(file: Path, patterns: tuple[str, ...]) -> bool:
    hidden = file.name.startswith(".") or file.name in _TOKENIZER_FILES
    wanted = any(fnmatch(file.name, pattern) for pattern in patterns)
    return file.is_file() and plain_suffix(file) in FORMATS and wanted and not hidden
