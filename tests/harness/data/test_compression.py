"""harness/data/compression.py: every compression gives the same bytes, and damage is named."""

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from harness.data.compression import open_source, plain_suffix
from harness.data.errors import DataError

CONTENT = b"line of text\n" * 20000
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def read(path: Path) -> bytes:
    with open_source(path) as (_, file):
        return file.read()


@pytest.mark.parametrize("suffix", PACK)
def test_compressed_files_give_their_content(tmp_path: Path, suffix: str) -> None:
    """A compressed file, also of two parts one after the other, reads like the plain one."""
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(PACK[suffix](CONTENT) + PACK[suffix](b"more\n"))
    assert read(path) == CONTENT + b"more\n"
    assert plain_suffix(path) == ".txt"


@pytest.mark.parametrize("suffix", PACK)
def test_a_file_cut_short_is_an_error(tmp_path: Path, suffix: str) -> None:
    """A file whose end is missing is refused by name, not read as a shorter one."""
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(PACK[suffix](CONTENT)[:-9])
    with pytest.raises(DataError, match=r"a\.txt\.\w+ is damaged or cut short"):
        read(path)


@pytest.mark.parametrize("suffix", PACK)
def test_another_format_under_the_suffix_is_an_error(tmp_path: Path, suffix: str) -> None:
    """Plain text that calls itself compressed is refused by name."""
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(CONTENT)
    with pytest.raises(DataError, match=r"a\.txt\.\w+ is damaged"):
        read(path)
