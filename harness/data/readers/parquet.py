"""Rows of a .parquet file, a few at a time (pyarrow)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.data.errors import DataError

_ROWS_AT_ONCE = 256


def parquet_documents(path: Path) -> Iterator[tuple[str, float]]:
    """(text, fraction of the rows read) in order. Raises DataError where the column `text` is missing or not text."""
    file = _open(path)
    columns = file.schema_arrow.names
    if "text" not in columns:
        raise DataError(f"{path} has no column 'text'; its columns are: {', '.join(columns) or 'none'}.")
    rows = max(1, file.metadata.num_rows)
    for number, row in enumerate(_rows(file, path, ["text"]), 1):
        if not isinstance(row["text"], str):
            raise DataError(f"{path}, row {number}: 'text' is {row['text']!r:.60}, not a string.")
        yield row["text"], number / rows


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows in order as dictionaries. Raises DataError where the file is damaged."""
    return _rows(_open(path), path, None)


def _open(path: Path) -> Any:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError(f"{path} needs the pyarrow library.", run="pip install pyarrow") from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path} is not a whole parquet file: {error}. Fetch it again; nothing was lost.") from error


def _rows(file: Any, path: Path, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    import pyarrow

    try:
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: {error}. Fetch it again; finished shards are kept.") from error
