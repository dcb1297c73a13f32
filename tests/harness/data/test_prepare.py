"""harness/data/prepare.py: one source gives one data set, whatever the format, the processes and the repetitions."""

import gzip
import json
import lzma
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from harness.data.dataset import Dataset, open_dataset, verify
from harness.data.errors import DataError
from harness.data.manifest import Manifest
from harness.data.prepare import prepare
from harness.data.progress import Progress


def tokens(dataset: Dataset, split: str) -> list[int]:
    return [token for path in dataset.files(split) for token in np.fromfile(path, dtype="<u2").tolist()]


def split_documents(dataset: Dataset, split: str) -> list[str]:
    """The documents of a split, cut at the end-of-text token."""
    found: list[list[int]] = [[]]
    for token in tokens(dataset, split):
        if token == dataset.manifest.end_of_text:
            found.append([])
        else:
            found[-1].append(token)
    assert found.pop() == []
    return [dataset.tokenizer().decode(document) for document in found]


def test_every_document_lands_in_one_split(root: Path, corpus: Path, documents: list[str]) -> None:
    """A text data set under a name of one's own holds each document once, ended by the token, in its source's order."""
    manifest = prepare("prose", [corpus], "bpe:300", processes=1)
    dataset = verify("prose")
    parts = {split: split_documents(dataset, split) for split in ("train", "dev", "validation")}
    assert sorted(text for part in parts.values() for text in part) == sorted(documents)
    assert parts["train"] == [text for text in documents if text in set(parts["train"])]
    assert {split: len(part) for split, part in parts.items()} == {"train": 240, "dev": 30, "validation": 30}
    assert {split: manifest.splits[split].tokens for split in parts} == {
        split: len(tokens(dataset, split)) for split in parts
    }
    assert (dataset.vocab_size, manifest.dtype, manifest.sources[0].file) == (300, "uint16", "corpus.txt")


def test_processes_and_format_do_not_change_the_data_set(root: Path, corpus: Path, documents: list[str]) -> None:
    """Text, jsonl and parquet, plain or compressed, by one process or by two, give one hash."""
    lines = "".join(json.dumps({"n": n, "text": text}) + "\n" for n, text in enumerate(documents))
    forms = {
        "a.txt.xz": lzma.compress(corpus.read_bytes()),
        "a.jsonl.gz": gzip.compress(lines.encode()),
        "a.jsonl.zst": zstandard.ZstdCompressor().compress(lines.encode()),
    }
    hashes = {prepare("plain", [corpus], "bytes", processes=2).sha256}
    for name, content in forms.items():
        path = corpus.parent / name
        path.write_bytes(content)
        hashes.add(prepare(name, [path], "bytes", processes=1).sha256)
    parquet = corpus.parent / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": documents}), parquet)
    hashes.add(prepare("parquet", [parquet], "bytes", processes=1).sha256)
    assert len(hashes) == 1


def test_a_folder_of_several_files_is_read_in_the_order_of_names(
    root: Path, corpus: Path, documents: list[str]
) -> None:
    """A folder gives its text files by name and nothing else; its tokenizer files and its notes are no documents."""
    folder = corpus.parent / "many"
    folder.mkdir()
    for n, text in enumerate(documents):
        (folder / f"{n:03d}.txt").write_text(text, encoding="utf-8")
    (folder / "merges.txt").write_text("no document", encoding="utf-8")
    (folder / "notes.pdf").write_bytes(b"\xff no text")
    whole, parts = (prepare(name, [path], "bytes", 1) for name, path in (("whole", corpus), ("parts", folder)))
    assert whole.sha256 == parts.sha256
    assert len(parts.sources) == len(documents)


def test_characters_of_a_text_without_separators(root: Path, tmp_path: Path) -> None:
    """shakespeare_char takes input.txt alone out of a folder, and its blocks together are its whole text."""
    text = "".join(f"SPEAKER {n % 7}:\nLine {n} of the play.\n\n" for n in range(3000))
    (tmp_path / "input.txt").write_text(text, encoding="utf-8")
    (tmp_path / "other.txt").write_text("ÜÖ", encoding="utf-8")
    manifest = prepare("shakespeare_char", [tmp_path], processes=1)
    dataset = open_dataset("shakespeare_char")
    decoded = "".join(dataset.tokenizer().decode(tokens(dataset, split)) for split in manifest.splits)
    assert sorted(decoded) == sorted(text)
    assert manifest.vocab_size == len(set(text))
    assert all(split.tokens > 0.05 * len(text) for split in manifest.splits.values())


def test_gpt2_is_the_usual_tokenizer(root: Path, gpt2_folder: Path, corpus: Path) -> None:
    """Without a choice a text is tokenized by GPT-2's vocabulary, of which the data set keeps a copy."""
    manifest = prepare("prose", [corpus], processes=1)
    assert (manifest.tokenizer, manifest.vocab_size, manifest.end_of_text) == ("gpt2", 50257, 50256)
    for file in gpt2_folder.iterdir():
        file.unlink()
    assert open_dataset("prose").tokenizer().encode("Hello world").tolist() == [15496, 995]


def test_preparing_again_changes_nothing(root: Path, corpus: Path) -> None:
    """A second preparation gives the first one back; one from another source is refused and loses nothing."""
    first = prepare("prose", [corpus], "bytes", processes=1)
    assert prepare("prose", [corpus], "bytes", processes=1) == first
    assert prepare("prose") == first
    corpus.write_text(corpus.read_text(encoding="utf-8") + "more", encoding="utf-8")
    with pytest.raises(DataError, match=r"prepared already from corpus.txt with the tokenizer bytes") as caught:
        prepare("prose", [corpus], "bytes", processes=1)
    assert caught.value.run == f"mv {root}/prose {root}/prose.old"
    assert verify("prose").manifest == first


def test_two_at_once_make_one(root: Path, corpus: Path) -> None:
    """Preparations of one name wait for each other, and the later one finds the work done."""
    manifests: list[Manifest] = []
    together = [
        threading.Thread(target=lambda: manifests.append(prepare("prose", [corpus], "bytes", 1))) for _ in range(4)
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert len(manifests) == 4
    assert len({manifest.created + manifest.sha256 for manifest in manifests}) == 1
    assert [path.name for path in root.iterdir() if path.is_dir()] == ["prose"]


def test_progress_counts_up_to_the_manifest(root: Path, corpus: Path) -> None:
    """Reports name the stage and grow up to the final counts."""
    reports: list[Progress] = []
    manifest = prepare("prose", [corpus], "bytes", processes=1, progress=reports.append)
    last = reports[-1]
    assert last.stage == "tokenizing"
    assert last.tokens == sum(split.tokens for split in manifest.splits.values())
    assert last.documents == 300
    assert last.fraction == 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "corpus.txt is empty"),
        (b"\n\n \n", "0 different document"),
        (b"one short text", "1 different document"),
        (b"fine\n<|endoftext|>\n\xff\xfe", "corpus.txt, line 3: byte 0xff is not valid UTF-8"),
    ],
)
def test_bad_text_is_refused_with_a_reason(root: Path, corpus: Path, content: bytes, message: str) -> None:
    """Text that cannot become a data set is refused, and no data set of the name appears."""
    corpus.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        prepare("prose", [corpus], "bytes", processes=1)
    assert caught.value.run in (None, f"linbench data prepare prose --source {corpus} --tokenizer bytes")
    assert not (root / "prose").exists()


def test_a_short_text_without_separators_is_cut_finer(root: Path, corpus: Path) -> None:
    """A few thousand characters are enough: their blocks are made short."""
    corpus.write_text("A short paragraph with a number in it.\n\n" * 3 + "".join(f"Line {n}\n" for n in range(400)))
    manifest = prepare("prose", [corpus], "bytes", processes=1)
    assert sum(split.tokens for split in manifest.splits.values()) == corpus.stat().st_size


@pytest.mark.parametrize(
    ("name", "source", "message", "run"),
    [
        ("prosa", None, "no data set 'prosa'.* There are: fineweb10B", "linbench data prepare prosa --source FILE"),
        ("fineweb10B", None, r"10BT/\*\.parquet.* from http", "linbench data prepare fineweb10B --source DIR"),
        ("fineweb10b", None, "Did you mean 'fineweb10B'", "linbench data prepare fineweb10b --source FILE"),
        ("lambada", None, r"lambada_test\*\.jsonl.* from https://hugg", "linbench data prepare lambada --source DIR"),
        ("text", None, r"any \.txt, \.jsonl or \.parquet", "linbench data prepare text --source DIR"),
        ("pydocs", None, "nothing to prepare", "linbench data list"),
        ("../x", ["a.txt"], "cannot name a data set", "linbench data list"),
        ("prose", ["missing.txt"], "no file or folder missing.txt. Wanted: any", None),
    ],
)  # fmt: skip
def test_mistakes_name_the_alternatives_and_the_next_command(
    root: Path, name: str, source: list[str] | None, message: str, run: str | None
) -> None:
    """A name or a source that is not there is answered with what is wanted, where from, and a command."""
    with pytest.raises(DataError, match=message) as caught:
        prepare(name, [Path(path) for path in source] if source else None)
    assert run is None or caught.value.run == run


def test_a_root_that_cannot_be_written_says_how_to_choose_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus: Path
) -> None:
    """A data root below a file cannot be made; the message names LINBENCH_DATA."""
    monkeypatch.setenv("LINBENCH_DATA", str(corpus / "root"))
    with pytest.raises(DataError, match=r"cannot be written .* set LINBENCH_DATA"):
        prepare("prose", [corpus], "bytes")


def test_importing_loads_nothing_heavy() -> None:
    """The commands start fast: what needs a heavy library imports it when it is used."""
    code = (
        "import sys, harness.data.prepare, harness.data.catalog;"
        "print([name for name in ('torch', 'datasets', 'pyarrow', 'tokenizers', 'zstandard') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "[]\n"
