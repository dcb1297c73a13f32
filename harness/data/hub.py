"""Documents streamed from a Hugging Face data set; the network is asked once whether it is there."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from harness.data.errors import DataError
from harness.data.manifest import SourceFile
from harness.data.source import Position

_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def hub_reachable() -> bool:
    """Whether the hub's host name resolves (or a proxy stands between), so that nobody waits for hopeless retries."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return False
    if any(os.environ.get(name) for name in _PROXIES):
        return True
    try:
        socket.getaddrinfo(urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname, 443)
    except OSError:
        return False
    return True


class HubSource(msgspec.Struct, frozen=True):
    """The column `text` of one split; `path` is a data set's name, or a folder laid out like one."""

    path: str
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    """Commit of the data set; None in a folder."""

    def pinned(self) -> "HubSource":
        """The source at the commit that is newest now. Raises DataError where the hub does not give it."""
        from huggingface_hub import HfApi

        try:
            return msgspec.structs.replace(self, revision=HfApi().dataset_info(self.path).sha)
        except Exception as error:  # the client's exceptions come from three libraries
            raise DataError(f"the hub does not give the data set {self.path!r}: {error}") from error

    def identify(self) -> tuple[SourceFile, ...]:
        name = f"hf://datasets/{self.path}" + (f":{self.config}" if self.config else "") + f"/{self.split}"
        return (SourceFile(name, self.revision or ""),)

    def read(self, position: Position = None) -> "HubReader":
        stream = self._stream()
        columns = stream.column_names
        if columns is not None and "text" not in columns:
            raise DataError(f"the data set {self.path!r} has no column 'text'; its columns are: {', '.join(columns)}.")
        if position is not None:
            stream.load_state_dict(position)
        return HubReader(stream, self.path)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the split in order, all columns."""
        yield from _unbroken(self._stream(), self.path)

    def with_blocks(self, characters: int) -> "HubSource":
        return self

    def _stream(self) -> Any:
        import datasets  # type: ignore[import-untyped]

        try:
            stream = datasets.load_dataset(
                self.path, self.config, split=self.split, streaming=True, revision=self.revision
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(f"the data set {self.path!r} cannot be streamed: {error}") from error
        return stream


@dataclass
class HubReader:
    """A pass over a streamed data set."""

    stream: Any
    path: str
    fraction: None = None

    @property
    def position(self) -> Position:
        return self.stream.state_dict()

    def __iter__(self) -> Iterator[str]:
        for number, row in enumerate(_unbroken(self.stream, self.path), 1):
            if not isinstance(row.get("text"), str):
                raise DataError(
                    f"{self.path}, row {number} of this pass: 'text' is {row.get('text')!r:.60}, no string."
                )
            if row["text"] and not row["text"].isspace():
                yield row["text"]


def _unbroken(stream: Any, path: str) -> Iterator[dict[str, Any]]:
    rows = iter(stream)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except Exception as error:  # a lost connection surfaces as an exception of any of four libraries
            raise DataError(
                f"the stream of {path!r} broke off: {error}. Finished shards are kept; run the same command again."
            ) from error
        yield row


def hub_name(given: list[Path]) -> HubSource | None:
    """`owner/name` or `owner/name:config`, where no such path exists here; None for anything else."""
    if len(given) != 1 or given[0].exists() or given[0].is_absolute():
        return None
    name, _, config = str(given[0]).partition(":")
    parts = name.split("/")
    if len(parts) != 2 or parts[0] in (".", "..", "~") or plain_looking(parts[1]):
        return None
    return HubSource(name, config or None)


def plain_looking(name: str) -> bool:
    """Whether a name ends like a file, so that a mistyped path is not taken for a data set of the hub."""
    return name.endswith((".txt", ".jsonl", ".parquet", ".gz", ".xz", ".zst"))
