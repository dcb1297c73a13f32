"""harness/data/evaluation.py: published layouts become the one that lm-eval's task files read."""

import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from harness.data.dataset import open_dataset, verify
from harness.data.errors import DataError
from harness.data.prepare import prepare


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A .jsonl file, compressed where its name ends in .xz."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(lzma.compress(data) if path.suffix == ".xz" else data)
    return path


def prepared_rows(name: str, split: str) -> list[dict[str, Any]]:
    (path,) = verify(name).files(split)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_arc_easy_from_both_layouts(root: Path, tmp_path: Path) -> None:
    """The question-and-choices layout stays; the query-and-gold layout becomes it."""
    hub = {"id": "q1", "question": "Which?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}
    write_rows(tmp_path / "arc_easy_validation.jsonl.xz", [hub])
    write_rows(tmp_path / "arc_easy_test.jsonl", [{"query": "Question: Why?", "choices": ["a", "b", "c"], "gold": 1}])
    manifest = prepare("arc_easy", [tmp_path])
    assert prepared_rows("arc_easy", "validation") == [hub]
    (row,) = prepared_rows("arc_easy", "test")
    assert (row["question"], row["choices"]["text"], row["answerKey"]) == ("Why?", ["a", "b", "c"], "B")
    assert (manifest.kind, manifest.splits["test"].documents, manifest.tokenizer) == ("evaluation", 1, "")


def test_hellaswag_context_is_parted_as_published(root: Path, tmp_path: Path) -> None:
    """From a joined context the activity, the sentences before and the begun sentence come back."""
    endings = ["one.", "two.", "three.", "four."]
    full = {"ind": 7, "activity_label": "Dive", "ctx_a": "She dives.", "ctx_b": "she", "ctx": "She dives. she"}
    write_rows(
        tmp_path / "hellaswag_val.jsonl",
        [
            {"ind": 7, "ctx": "Dive: She dives. she", "label": 2, "endings": endings},
            {**full, "label": "2", "endings": endings},
            {"ind": 8, "ctx": "How to swim: Find water. Enter it.", "label": 0, "endings": endings},
        ],
    )
    prepare("hellaswag", [tmp_path])
    joined, given, whole = prepared_rows("hellaswag", "validation")
    assert joined == given == {**full, "label": "2", "endings": endings}
    assert (whole["activity_label"], whole["ctx_a"], whole["ctx_b"]) == ("How to swim", "Find water. Enter it.", "")


def test_piqa_takes_its_labels_from_the_file_beside_it(root: Path, tmp_path: Path) -> None:
    """Questions and labels lie in two published files; they must be as many."""
    rows = [{"goal": f"g{n}", "sol1": "a", "sol2": "b"} for n in range(3)]
    path = write_rows(tmp_path / "valid.jsonl", rows)
    labels = tmp_path / "valid-labels.lst"
    labels.write_text("0\n1\n", encoding="utf-8")
    with pytest.raises(DataError, match="2 labels for 3 questions"):
        prepare("piqa", [path])
    labels.write_text("0\n1\n1\n", encoding="utf-8")
    manifest = prepare("piqa", [path])
    assert prepared_rows("piqa", "validation") == [{**row, "label": n} for row, n in zip(rows, (0, 1, 1), strict=True)]
    assert [source.file for source in manifest.sources] == ["valid.jsonl", "valid-labels.lst"]


def test_winogrande_and_lambada_keep_their_columns(root: Path, tmp_path: Path) -> None:
    """Rows that are in the layout already, also from parquet and under another name, come through unchanged."""
    row = {"sentence": "A saw B, so _ left.", "option1": "A", "option2": "B", "answer": "1"}
    pyarrow.parquet.write_table(pyarrow.table({k: [v] for k, v in row.items()}), tmp_path / "validation-0.parquet")
    prepare("winogrande", [tmp_path])
    assert prepared_rows("winogrande", "validation") == [row]
    prepare("lambada", [write_rows(tmp_path / "mine.jsonl", [{"text": "the last word"}])])
    assert prepared_rows("lambada", "test") == [{"text": "the last word"}]


WIKITEXT = " \n = One = \n \n First , text . \n = = Part = = \n More . \n \n = Two = \n \n Second . \n \n"


def test_wikitext2_keeps_every_line_and_parts_articles(root: Path, tmp_path: Path) -> None:
    """The raw file is kept byte for byte, its articles are pages, and the hub's rows follow from it."""
    (tmp_path / "wiki.test.raw").write_text(WIKITEXT, encoding="utf-8")
    from_raw = prepare("wikitext2", [tmp_path])
    text, pages = open_dataset("wikitext2").files("test")
    assert text.read_text(encoding="utf-8") == WIKITEXT
    found = [json.loads(line)["page"] for line in pages.read_text(encoding="utf-8").splitlines()]
    assert [page.split(" \n")[0].strip() for page in found] == ["", "= Two ="]
    assert "\n".join(found) + "\n" == WIKITEXT
    rows = [f"{line}\n" if line.strip() else "" for line in WIKITEXT.removesuffix("\n").split("\n")]
    assert rows[:4] == ["", " = One = \n", "", " First , text . \n"]
    (root / "wikitext2").rename(root / "old")
    pyarrow.parquet.write_table(pyarrow.table({"text": rows}), tmp_path / "test-00000-of-00001.parquet")
    assert prepare("wikitext2", [tmp_path / "test-00000-of-00001.parquet"]).sha256 == from_raw.sha256


@pytest.mark.parametrize(
    ("name", "file", "row", "message"),
    [
        ("hellaswag", "hellaswag_val.jsonl", {"ctx": "a: b"}, "row 2 does not fit .*'endings'.* its columns are: ctx"),
        ("winogrande", "dev.jsonl", {"sentence": "no gap", "option1": "", "option2": "", "answer": "1"}, "row 2 .*gap"),
        ("lambada", "lambada_test.jsonl", {"body": "x"}, "row 2 .*wanted are the columns text"),
    ],
)
def test_rows_that_do_not_fit_are_named(
    root: Path, tmp_path: Path, name: str, file: str, row: dict[str, Any], message: str
) -> None:
    """A row of another layout is refused with the file, the row, the wanted columns and its own."""
    good = {
        "hellaswag": {"ctx": "a: b", "label": 0, "endings": ["x"]},
        "winogrande": {"sentence": "_", "option1": "a", "option2": "b", "answer": "2"},
        "lambada": {"text": "x"},
    }[name]
    write_rows(tmp_path / file, [good, row])
    with pytest.raises(DataError, match=message):
        prepare(name, [tmp_path])
    assert [path.name for path in root.iterdir()] == [f".{name}.lock"]


def test_a_folder_without_the_files_says_what_is_wanted(root: Path, tmp_path: Path) -> None:
    """The files wanted, those found and the place of publication are in the message."""
    (tmp_path / "photo.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"does not hold wiki\.test\.raw .*photo\.png.*published at https"):
        prepare("wikitext2", [tmp_path])
