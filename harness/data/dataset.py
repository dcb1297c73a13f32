"""Opening a prepared data set: its files, its tokenizer and its hash."""

from dataclasses import dataclass
from pathlib import Path

from harness.data.entries import ENTRIES, entry_for, nearest
from harness.data.errors import DataError
from harness.data.manifest import BYTES_A_TOKEN, MANIFEST, Manifest, content_hash, hash_file, read_manifest
from harness.data.root import data_root, dataset_folder
from harness.data.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True, slots=True)
class Dataset:
    """A prepared data set; its files are raw little-endian uint16 tokens, or text in a data set for evaluation."""

    folder: Path
    manifest: Manifest

    @property
    def sha256(self) -> str:
        """Names the contents: results over different data are never ranked together."""
        return self.manifest.sha256

    @property
    def vocab_size(self) -> int:
        """Token ids run from 0 to vocab_size - 1."""
        return self.manifest.vocab_size

    def files(self, split: str) -> list[Path]:
        """The files of a split in order. Raises DataError for a split that it has not, or a file lost or cut short."""
        if split not in self.manifest.splits:
            raise DataError(f"{self.manifest.name} has no split {split!r}. {nearest(split, self.manifest.splits)}")
        for shard in self.manifest.splits[split].files:
            size = _size(self.folder / shard.file)
            if size is None or (shard.tokens and size != shard.tokens * BYTES_A_TOKEN):
                raise _damaged(self, f"{shard.file} is {'missing' if size is None else f'of the wrong size ({size})'}")
        return [self.folder / shard.file for shard in self.manifest.splits[split].files]

    def train_files(self) -> list[Path]:
        """Tokens to train on."""
        return self.files("train")

    def dev_files(self) -> list[Path]:
        """Tokens for progress lines while training."""
        return self.files("dev")

    def validation_files(self) -> list[Path]:
        """Tokens for the scoring process alone."""
        return self.files("validation")

    def tokenizer(self) -> Tokenizer:
        """What the tokens were made with. Raises DataError in a data set of text."""
        if not self.manifest.tokenizer:
            raise DataError(f"{self.manifest.name} is text for evaluation: it has no tokenizer.")
        return load_tokenizer(self.folder, self.manifest.tokenizer)


def open_dataset(name: str) -> Dataset:
    """The prepared data set `name`. Raises DataError when it is not prepared, saying which files it wants."""
    folder = dataset_folder(name)
    manifest = read_manifest(folder)
    if manifest is None:
        raise missing(name)
    return Dataset(folder, manifest)


def verify(name: str) -> Dataset:
    """Open a data set and recompute every hash. Raises DataError naming the first file that differs."""
    dataset = open_dataset(name)
    manifest = dataset.manifest
    for split in manifest.splits:
        for path, shard in zip(dataset.files(split), manifest.splits[split].files, strict=True):
            if hash_file(path) != shard.sha256:
                raise _damaged(dataset, f"{shard.file} is not what was written (its sha256 differs)")
    if content_hash(manifest.splits) != manifest.sha256:
        raise _damaged(dataset, f"{MANIFEST} was changed (its hash is not that of its files)")
    return dataset


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _damaged(dataset: Dataset, reason: str) -> DataError:
    return DataError(
        f"the data set {dataset.manifest.name} in {dataset.folder} is damaged: {reason}. "
        "Move it away, then prepare it again.",
        run=f"mv {dataset.folder} {dataset.folder}.damaged",
    )


def missing(name: str) -> DataError:
    """The error for a data set that is not prepared: which files it wants, where from, and the command to make it."""
    entry = entry_for(name)
    if entry is None:
        own = [path.parent.name for path in sorted(data_root().glob(f"*/{MANIFEST}"))]
        names = [entry.name for entry in ENTRIES if entry.kind in ("tokens", "evaluation")]
        return DataError(
            f"there is no data set {name!r} in {data_root()}. {nearest(name, dict.fromkeys([*names, *own]))} "
            "A source makes a text data set of this name.",
            run=f"linbench data prepare {name} --source FILE",
        )
    if entry.kind == "built-in":
        return DataError(f"{name} is built in: nothing is prepared on disk.", run="linbench data list")
    if entry.kind == "generated":
        return DataError(
            f"{name} was not generated in {data_root()} yet: its first training does.",
            run=f"linbench data prepare {name}",
        )
    online = "With a network it needs no source. " if entry.hub else ""
    return DataError(
        f"the data set {name} is not prepared in {data_root()}. {online}Without one it wants {entry.wants} "
        f"from {entry.where}.",
        run=f"linbench data prepare {name} --source DIR",
    )
