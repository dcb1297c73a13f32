"""Evaluation sets: finding their published files, in whichever layout, and bringing their rows into one.

The layout is that of the Hugging Face data set which lm-eval's own task file reads, one JSON line a row.
"""

from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import msgspec

from harness.data.compression import open_source, plain_suffix
from harness.data.dataset import missing
from harness.data.entries import Entry
from harness.data.errors import DataError
from harness.data.evaluation_rows import ROWS, Row
from harness.data.file_set import FileSet
from harness.data.hub import HubSource, hub_reachable
from harness.data.manifest import SourceFile, hash_file
from harness.data.readers.jsonl import jsonl_rows
from harness.data.readers.parquet import parquet_rows
from harness.data.wikitext import raw_lines, wikitext_files

_PATTERNS: dict[str, dict[str, tuple[str, ...]]] = {
    "wikitext2": {"test": ("wiki.test.raw*", "wikitext*test*.raw*", "test-*.parquet", "test.txt*")},
    "lambada": {"test": ("lambada*test*.jsonl*", "lambada*.jsonl*", "test*.jsonl*", "test-*.parquet")},
    "arc_easy": {
        "test": ("arc*easy*test*.jsonl*", "test*.jsonl*", "test-*.parquet"),
        "validation": ("arc*easy*val*.jsonl*", "arc*easy*dev*.jsonl*", "validation-*.parquet"),
    },
    "hellaswag": {"validation": ("hellaswag_val*.jsonl*", "val*.jsonl*", "validation-*.parquet")},
    "piqa": {"validation": ("valid.jsonl*", "piqa*val*.jsonl*", "validation-*.parquet")},
    "winogrande": {"validation": ("winogrande_xl_dev*.jsonl*", "*dev.jsonl*", "validation-*.parquet")},
}
_PIQA_LABELS = "valid-labels.lst"


def find_evaluation(entry: Entry, given: list[Path] | None) -> FileSet:
    """The data set's rows in their one layout. Raises DataError, saying which files are wanted, where none fits."""
    if not given:
        return _from_hub(entry)
    found = _find(entry, given)
    files = {path: path.name for path in found.values()}
    splits = {}
    for split, path in found.items():
        rows = _rows(path)
        if entry.name == "piqa" and (labels := path.parent / _PIQA_LABELS).is_file():
            rows, files[labels] = _labelled(rows, labels), labels.name
        splits[split] = _contents(entry, split, rows, str(path))
    sources = tuple(SourceFile(name, hash_file(path)) for path, name in files.items())
    return FileSet("evaluation", "jsonl", sources, splits)


def _from_hub(entry: Entry) -> FileSet:
    if entry.hub is None or not hub_reachable():
        raise missing(entry.name)
    split = next(iter(_PATTERNS[entry.name]))
    source = HubSource(*entry.hub, split=split).pinned()
    contents = _contents(entry, split, source.rows(), source.path)
    return FileSet("evaluation", "jsonl", source.identify(), {split: contents})


def _find(entry: Entry, given: list[Path]) -> dict[str, Path]:
    lost = [str(path) for path in given if not path.exists()]
    if lost:
        raise DataError(f"there is no file or folder {', '.join(lost)}. Wanted: {entry.wants}, from {entry.where}.")
    there = [file for path in given for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    found = {}
    for split, patterns in _PATTERNS[entry.name].items():
        fitting = [file for pattern in patterns for file in there if fnmatch(file.name, pattern) and file.is_file()]
        if fitting:
            found[split] = fitting[0]
    if not found and len(given) == 1 and given[0].is_file():
        found[next(iter(_PATTERNS[entry.name]))] = given[0]
    if not found:
        names = ", ".join(file.name for file in there[:10]) or "nothing"
        raise DataError(f"{given[0]} does not hold {entry.wants}, but {names}. They are published at {entry.where}.")
    return found


def _rows(path: Path) -> Iterator[Row]:
    if plain_suffix(path) == ".parquet":
        yield from parquet_rows(path)
        return
    with open_source(path) as (_, file):
        if plain_suffix(path) == ".jsonl":
            yield from jsonl_rows(file, path)
        else:
            yield from ({"text": line} for line in raw_lines(file, path))


def _labelled(rows: Iterator[Row], labels: Path) -> Iterator[Row]:
    answers, questions = labels.read_text(encoding="utf-8").split(), list(rows)
    if len(answers) != len(questions):
        raise DataError(f"{labels} has {len(answers)} labels for {len(questions)} questions.")
    for row, answer in zip(questions, answers, strict=True):
        yield {**row, "label": answer}


def _contents(entry: Entry, split: str, rows: Iterator[Row], where: str) -> dict[str, tuple[bytes, int]]:
    if entry.name == "wikitext2":
        contents = wikitext_files(_checked(rows, lambda row: row, ("text",), where))
    else:
        convert, columns = ROWS[entry.name]
        lines = [msgspec.json.encode(row) for row in _checked(rows, convert, columns, where)]
        contents = {f"{split}.jsonl": (b"".join(line + b"\n" for line in lines), len(lines))}
    if not all(documents for _, documents in contents.values()):
        raise DataError(f"{where} has no rows. Wanted: {entry.wants}, from {entry.where}.")
    return contents


def _checked(
    rows: Iterator[Row], convert: Callable[[Row], Row], columns: tuple[str, ...], where: str
) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, 1):
        try:
            yield convert(row)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise DataError(
                f"{where}, row {number} does not fit ({type(error).__name__}: {error}); wanted are the columns "
                f"{', '.join(columns)}, and its columns are: {', '.join(row)}."
            ) from error
