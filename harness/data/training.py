"""What a training process may read: files of train and dev tokens. The validation split is not among them."""

from dataclasses import dataclass
from pathlib import Path

from harness.data import pydocs
from harness.data.entries import entry_for


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The readable part of a data set."""

    name: str
    sha256: str
    """Of the whole data set, validation included: results over different data are never ranked together."""
    vocab_size: int
    train_files: tuple[Path, ...]
    dev_files: tuple[Path, ...]


def training_data(name: str) -> TrainingData:
    """Open a data set for training. Raises DataError when it is not prepared, saying which files it wants."""
    if name == "pydocs":
        folder, sha256 = pydocs.prepare()
        return TrainingData(name, sha256, pydocs.VOCAB_SIZE, (folder / "train.bin",), (folder / "dev.bin",))
    from harness.data.dataset import open_dataset

    entry = entry_for(name)
    if entry is not None and entry.kind == "generated":
        from harness.data.prepare import prepare

        prepare(name)
    dataset = open_dataset(name)
    return TrainingData(
        name, dataset.sha256, dataset.vocab_size, tuple(dataset.train_files()), tuple(dataset.dev_files())
    )
