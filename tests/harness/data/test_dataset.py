"""harness/data/dataset.py and catalog.py: what is prepared, what is missing, and what was damaged since."""

from pathlib import Path

import pytest

from harness.data.catalog import catalog
from harness.data.dataset import open_dataset, verify
from harness.data.errors import DataError
from harness.data.prepare import prepare


def test_an_opened_data_set_knows_its_files(root: Path, corpus: Path) -> None:
    """Paths by split, hash and vocabulary come from the manifest."""
    manifest = prepare("prose", [corpus], "bytes", processes=1)
    dataset = open_dataset("prose")
    assert dataset.train_files() == [root / "prose" / "train_0000.bin"]
    assert dataset.dev_files() == [root / "prose" / "dev_0000.bin"]
    assert dataset.validation_files() == [root / "prose" / "validation_0000.bin"]
    assert (dataset.sha256, dataset.vocab_size) == (manifest.sha256, 256)
    with pytest.raises(DataError, match=r"no split 'test'. There are: train, dev, validation"):
        dataset.files("test")


def test_damage_is_found(root: Path, corpus: Path) -> None:
    """A changed byte is found by verify; a file cut short or lost already when it is opened."""
    prepare("prose", [corpus], "bytes", processes=1)
    shard = root / "prose" / "train_0000.bin"
    data = shard.read_bytes()
    shard.write_bytes(data[:100] + b"\x00\x01" + data[102:])
    with pytest.raises(DataError, match=r"train_0000.bin is not what was written"):
        verify("prose")
    shard.write_bytes(data[:100])
    with pytest.raises(DataError, match=r"train_0000.bin is of the wrong size \(100\)"):
        open_dataset("prose").train_files()
    shard.unlink()
    with pytest.raises(DataError, match=r"train_0000.bin is missing") as caught:
        open_dataset("prose").train_files()
    assert caught.value.run == f"mv {root}/prose {root}/prose.damaged"


def test_a_changed_manifest_is_found(root: Path, corpus: Path) -> None:
    """A manifest whose hashes do not fit together, or that is no manifest, is refused."""
    manifest = prepare("prose", [corpus], "bytes", processes=1)
    path = root / "prose" / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace(manifest.sha256, "0" * 64), encoding="utf-8")
    with pytest.raises(DataError, match=r"manifest.json was changed"):
        verify("prose")
    path.write_text('{"name": "prose"', encoding="utf-8")
    with pytest.raises(DataError, match="is not a manifest"):
        open_dataset("prose")


def test_the_catalog_lists_known_and_own_data_sets(root: Path, corpus: Path) -> None:
    """Every known data set is there with what it wants; one of the user's own joins them once prepared."""
    before = {row.name: row for row in catalog()}
    assert {"pydocs", "fineweb10B", "wikitext2", "lambada", "shakespeare_char", "text", "gpt2"} <= before.keys()
    assert [name for name, row in before.items() if row.prepared] == ["pydocs", "recall"]
    assert all(row.entry.wants and row.entry.where for name, row in before.items() if name not in ("pydocs", "recall"))
    manifest = prepare("prose", [corpus], "bytes", processes=1)
    row = catalog()[-1]
    assert (row.name, row.prepared, row.manifest, row.folder) == ("prose", True, manifest, root / "prose")
    assert row.tokens == sum(split.tokens for split in manifest.splits.values())
