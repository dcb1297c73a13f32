"""The folder of a data set in the making: finished shards and a state that says where the source goes on.

A shard gets its final name, then the state names it; whatever the state does not name is made again.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import IO, Any

import msgspec

from harness.data.encoding import Encoded
from harness.data.errors import DataError
from harness.data.manifest import Manifest, ShardFile, write_manifest
from harness.data.root import data_root, dataset_folder
from harness.data.source import Position
from harness.data.split import SPLITS
from harness.files import write_atomically

_STATE = "state.json"


class Shard(msgspec.Struct, frozen=True):
    """A finished shard: one file for each split that has documents in it."""

    files: dict[str, ShardFile]
    documents: dict[str, int]
    position: Position


class State(msgspec.Struct, frozen=True):
    """How far a preparation got."""

    tokenizer_ready: bool = False
    shards: tuple[Shard, ...] = ()

    @property
    def position(self) -> Position:
        """Where the source goes on."""
        return self.shards[-1].position if self.shards else None

    def files(self, split: str) -> tuple[ShardFile, ...]:
        """The finished files of a split, in order."""
        return tuple(shard.files[split] for shard in self.shards if split in shard.files)

    def documents(self, split: str) -> int:
        """The documents in them."""
        return sum(shard.documents.get(split, 0) for shard in self.shards)

    @property
    def total_tokens(self) -> int:
        """In all splits."""
        return sum(file.tokens for split in SPLITS for file in self.files(split))

    @property
    def total_documents(self) -> int:
        """In all splits."""
        return sum(self.documents(split) for split in SPLITS)


class Staging:
    """Owns the folder `.<name>.<key>.preparing`; the key is a hash of the plan, so that another plan starts afresh."""

    def __init__(self, name: str, plan: Any):
        key = hashlib.sha256(msgspec.json.encode(plan)).hexdigest()[:12]
        self.name = name
        self.folder = data_root() / f".{name}.{key}.preparing"
        self.folder.mkdir(exist_ok=True)
        self.state = self._read_state()
        self._remove_unnamed()

    def tokenizer_is_ready(self) -> None:
        """Record that the tokenizer's files are complete."""
        self._write_state(msgspec.structs.replace(self.state, tokenizer_ready=True))

    def add_shard(self, shard: Shard) -> None:
        """Record a finished shard."""
        self._write_state(msgspec.structs.replace(self.state, shards=(*self.state.shards, shard)))

    def publish(self, manifest: Manifest) -> None:
        """Give the finished data set its place, and remove what other plans for the same name left."""
        write_manifest(self.folder, manifest)
        target = dataset_folder(self.name)
        os.rename(self.folder, target)
        (target / _STATE).unlink(missing_ok=True)
        for left in data_root().glob(f".{self.name}.{'[0-9a-f]' * 12}.preparing"):
            shutil.rmtree(left)

    def _read_state(self) -> State:
        path = self.folder / _STATE
        try:
            return msgspec.json.decode(path.read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except msgspec.MsgspecError as error:
            raise DataError(f"{path} is damaged: {error}. Remove its folder to start again.") from error

    def _write_state(self, state: State) -> None:
        write_atomically(self.folder / _STATE, msgspec.json.encode(state).decode())
        self.state = state

    def _remove_unnamed(self) -> None:
        named = {file.file for split in SPLITS for file in self.state.files(split)}
        for path in self.folder.iterdir():
            if path.suffix in (".bin", ".part") and path.name not in named:
                path.unlink()


class ShardWriter:
    """Writes the files of one shard."""

    def __init__(self, folder: Path, number: int):
        self._folder, self._number = folder, number
        self._open: dict[str, tuple[IO[bytes], Any]] = {}
        self._documents: dict[str, int] = {}

    def add(self, encoded: Encoded) -> None:
        """Append a batch. Raises OSError, on a full disk for example."""
        for split, tokens in encoded.tokens.items():
            if split not in self._open:
                self._open[split] = ((self._folder / f"{self._name(split)}.part").open("wb"), hashlib.sha256())
            file, sha256 = self._open[split]
            file.write(tokens)
            sha256.update(tokens)
            self._documents[split] = self._documents.get(split, 0) + encoded.documents[split]

    def finish(self, position: Position) -> Shard:
        """Bring the files to the disk under their final names. Raises OSError."""
        files = {}
        for split, (file, sha256) in self._open.items():
            file.flush()
            os.fsync(file.fileno())
            tokens = file.tell() // 2
            file.close()
            os.replace(file.name, self._folder / self._name(split))
            files[split] = ShardFile(self._name(split), tokens, sha256.hexdigest())
        return Shard(files, self._documents, position)

    def close(self) -> None:
        """Close what an error left open; the parts are removed by the next attempt."""
        for file, _ in self._open.values():
            try:
                file.close()
            except OSError:  # the disk is full: what was buffered is made again anyway
                pass

    def _name(self, split: str) -> str:
        return f"{split}_{self._number:04d}.bin"
