"""WikiText-2's raw test split in the two forms that its perplexities are defined on: all lines, and articles.

Merity et al. 2016, "Pointer Sentinel Mixture Models", section 4.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from harness.data.errors import DataError

LINES_FILE, PAGES_FILE = "test.txt", "test.jsonl"
_TITLE = re.compile(r" = (?!=).*(?<! =) = ?")


def raw_lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """The lines of wiki.test.raw without their ends. Raises DataError where a line is not UTF-8."""
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8").rstrip("\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, line {number} is not valid UTF-8: {error}.") from error


def wikitext_files(rows: Iterable[dict[str, Any]]) -> dict[str, tuple[bytes, int]]:
    """test.txt, one line of the raw file a line, and test.jsonl, {"page"} with the lines of one article."""
    lines = [_as_in_the_file(row["text"]) for row in rows]
    pages = articles(lines)
    encoded = b"".join(msgspec.json.encode({"page": page}) + b"\n" for page in pages)
    return {
        LINES_FILE: ("".join(f"{line}\n" for line in lines).encode(), len(lines)),
        PAGES_FILE: (encoded, len(pages)),
    }


def articles(lines: list[str]) -> list[str]:
    """The text of each article, which a line ` = Title = ` opens; joined they give all lines again."""
    pages: list[list[str]] = [[]]
    for line in lines:
        if _TITLE.fullmatch(line) and any(other.strip() for other in pages[-1]):
            pages.append([])
        pages[-1].append(line)
    return ["\n".join(page) for page in pages]


def _as_in_the_file(row: str) -> str:
    return row.removesuffix("\n") if row.strip() else " "
