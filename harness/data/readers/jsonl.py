"""Documents of a .jsonl file: the column `text` of each line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from harness.data.errors import DataError


class _Row(msgspec.Struct):
    text: str


def jsonl_documents(file: BinaryIO, path: Path) -> Iterator[str]:
    """The texts in order. Raises DataError naming the line that is not JSON, or the columns where none is `text`."""
    decoder = msgspec.json.Decoder(_Row)
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield decoder.decode(line).text
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise _explain(line, path, number) from error


def jsonl_rows(file: BinaryIO, path: Path) -> Iterator[dict[str, Any]]:
    """The lines in order as dictionaries. Raises DataError naming the line that is not a JSON object."""
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise DataError(f"{path}, line {number} is not a JSON object: {error}.") from error


def _explain(line: bytes, path: Path, number: int) -> DataError:
    try:
        row = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return DataError(f"{path}, line {number} is not a JSON object: {error}. Finished shards are kept.")
    if "text" not in row:
        return DataError(f"{path}, line {number} has no column 'text'; its columns are: {', '.join(row) or 'none'}.")
    return DataError(f"{path}, line {number}: 'text' is {row['text']!r:.60}, not a string.")
