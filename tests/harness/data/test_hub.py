"""harness/data/hub.py: the streaming library itself, over a folder laid out like a hub data set."""

import json
from pathlib import Path

import pytest

from harness.data.entries import own_entry
from harness.data.errors import DataError
from harness.data.hub import HubSource, hub_name, hub_reachable
from harness.data.prepare import prepare
from harness.data.progress import silent
from harness.data.tokenized import prepare_tokens


@pytest.fixture
def hub_folder(tmp_path: Path, documents: list[str]) -> Path:
    """A folder with two .jsonl files of the train split."""
    folder = tmp_path / "hub"
    folder.mkdir()
    for part in range(2):
        rows = [json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(documents[part::2])]
        (folder / f"train-{part}.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def test_a_stream_goes_on_from_any_position(root: Path, hub_folder: Path, documents: list[str]) -> None:
    """A reader begun at another's position yields exactly what the other had left, also in the next file."""
    source = HubSource(str(hub_folder))
    everything = list(source.read())
    assert everything == documents[::2] + documents[1::2]
    for stop in (1, 150, 299):
        reader = source.read()
        texts = iter(reader)
        for _ in range(stop):
            next(texts)
        position = json.loads(json.dumps(reader.position))
        assert list(source.read(position)) == everything[stop:]
    reader = source.read()
    assert list(reader) == everything
    assert list(source.read(reader.position)) == []


def test_a_stream_gives_the_data_set_of_the_same_files(root: Path, hub_folder: Path) -> None:
    """Streamed or read from disk, the documents give one hash."""
    root.mkdir()
    source = HubSource(str(hub_folder))
    streamed = prepare_tokens(own_entry("streamed"), source, source.identify(), "bytes", [], 1, silent)
    assert streamed.sha256 == prepare("local", [hub_folder], "bytes", processes=1).sha256


def test_a_stream_without_text_names_its_columns(root: Path, tmp_path: Path) -> None:
    """A data set without the column is refused with the columns that it has."""
    (tmp_path / "train.jsonl").write_text('{"id": 1, "body": "b"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="no column 'text'"):
        list(HubSource(str(tmp_path)).read())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("owner/name", HubSource("owner/name")),
        ("owner/name:config", HubSource("owner/name", "config")),
        ("folder/file.txt", None),
        ("./name", None),
        ("name", None),
        ("/absolute/name", None),
        ("a/b/c", None),
    ],
)
def test_hub_names_are_told_from_paths(given: str, expected: HubSource | None) -> None:
    """OWNER/NAME that is no path here is a data set of the hub; what looks like a file is not."""
    assert hub_name([Path(given)]) == expected


def test_without_a_network_a_hub_name_is_refused_at_once(root: Path) -> None:
    """Offline, a hub name is answered with what can be done, without waiting for retries."""
    assert not hub_reachable()
    with pytest.raises(DataError, match="'owner/name' is no file or folder here, and the hub cannot be reached"):
        prepare("prose", [Path("owner/name")], "bytes")
