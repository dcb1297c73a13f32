"""The built-in data set: the same everywhere, whole, and without its validation part on disk."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.data import pydocs
from harness.data.training import TrainingData, training_data
from harness.data.validation import validation_tokens


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def read(data: TrainingData) -> dict[str, bytes]:
    pairs = [("train", data.train_files), ("dev", data.dev_files)]
    return {name: np.fromfile(files[0], "<u2").astype(np.uint8).tobytes() for name, files in pairs}


def test_every_document_is_in_one_split() -> None:
    """The splits hold the whole text once: about eight parts to train, one each to dev and validation."""
    parts, documents = pydocs.splits(), pydocs.documents()
    assert sorted(b"".join(documents)) == sorted(b"".join(parts.values()))
    total = sum(map(len, parts.values()))
    assert total > 400_000
    assert 0.74 < len(parts["train"]) / total < 0.86
    assert all(0.05 < len(parts[name]) / total < 0.15 for name in ("dev", "validation"))


def test_documents_are_whole_paragraphs() -> None:
    """A document ends at a blank line, soon after its size is reached."""
    documents = pydocs.documents()
    assert all(document.endswith(b"\n\n") and document.strip() for document in documents)
    assert np.median([len(document) for document in documents]) >= pydocs.DOCUMENT_BYTES * 0.9


def test_a_training_gets_the_train_and_dev_tokens_and_no_other(root: Path) -> None:
    """The files hold one token a byte, and no file of the folder holds a document of the validation split."""
    data = training_data("pydocs")
    parts = pydocs.splits()
    assert read(data) == {name: parts[name] for name in ("train", "dev")}
    assert (data.name, data.vocab_size, data.sha256) == ("pydocs", 256, pydocs.content_sha256(parts))
    assert sorted(path.name for path in data.train_files[0].parent.iterdir()) == ["dev.bin", "train.bin"]
    validation = validation_tokens("pydocs")
    assert validation.astype(np.uint8).tobytes() == parts["validation"]
    some = validation[5000:5400].tobytes()
    assert not any(some in path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_the_hash_names_every_split() -> None:
    """A byte more in any split is another data set."""
    parts = pydocs.splits()
    changed = [pydocs.content_sha256({**parts, name: parts[name] + b"x"}) for name in parts]
    assert len({pydocs.content_sha256(parts), *changed}) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(b"\x00\x00" + path.read_bytes()[2:]),
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_file_is_written_anew(root: Path, damage: Callable[[Path], None]) -> None:
    """A file that is cut short, changed or missing does not stand for the data set that its folder names."""
    before = training_data("pydocs")
    expected = read(before)
    damage(before.train_files[0])
    assert training_data("pydocs") == before
    assert read(before) == expected


def test_a_good_file_is_left_alone(root: Path) -> None:
    """Opening the data again writes nothing: a training that maps the file is not disturbed."""
    file = training_data("pydocs").train_files[0]
    before = file.stat()
    training_data("pydocs")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_many_processes_may_begin_at_once(root: Path) -> None:
    """Four processes that all find the folder empty end with one whole data set and nothing left over."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.map(training_data, ["pydocs"] * 4)
    assert len(set(found)) == 1
    assert read(found[0])["dev"] == pydocs.splits()["dev"]
    assert sorted(path.name for path in found[0].train_files[0].parent.iterdir()) == ["dev.bin", "train.bin"]
