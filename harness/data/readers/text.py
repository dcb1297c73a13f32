"""Documents of a text file: between lines `<|endoftext|>`, or, in a file without them, blocks that end at a paragraph.

Nothing is held but the document being read, and a text of more than 16 Mi characters without a separator is cut.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness.data.errors import DataError

SEPARATOR = "<|endoftext|>"
LONGEST_DOCUMENT = 1 << 24
"""Characters after which a text without a separator line is cut into blocks."""
_CHUNK = 1 << 20


def text_documents(file: BinaryIO, path: Path, block: int) -> Iterator[str]:
    """The documents of a text file; a text without separators gives blocks of about `block` characters.

    Documents between separators lose the line breaks around them; blocks keep every character.
    Raises DataError where the file is not UTF-8, naming the line.
    """
    held: list[str] = []
    characters, separated = 0, False
    for line in _lines(file, path):
        if line.strip() == SEPARATOR:
            yield "".join(held).strip("\r\n")
            held, characters, separated = [], 0, True
            continue
        held.append(line)
        characters += len(line)
        if characters > LONGEST_DOCUMENT:
            *blocks, rest = cut_into_blocks("".join(held), block)
            yield from blocks
            held, characters = [rest], len(rest)
    text = "".join(held)
    if separated:
        yield text.strip("\r\n")
    else:
        yield from cut_into_blocks(text, block)


def cut_into_blocks(text: str, block: int) -> list[str]:
    """Cut after the last blank line, else line break, else anywhere, within each `block` characters; none is lost."""
    blocks, start = [], 0
    while len(text) - start > block:
        end = start + block
        cut = text.rfind("\n\n", start, end) + 2
        if cut <= start + 1:
            cut = text.rfind("\n", start, end) + 1
        if cut <= start:
            cut = end
        blocks.append(text[start:cut])
        start = cut
    return [*blocks, text[start:]]


def _lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """Lines with their ends; a line of more than 1 MiB comes in parts. A byte order mark is dropped."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    number = 1
    while chunk := file.readline(_CHUNK):
        yield _decode(decoder, chunk, path, number)
        number += chunk.endswith(b"\n")
    _decode(decoder, b"", path, number, final=True)


def _decode(decoder: codecs.IncrementalDecoder, chunk: bytes, path: Path, line: int, final: bool = False) -> str:
    try:
        return decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is not valid UTF-8. "
            "Convert the file to UTF-8 (iconv -t utf-8) and run the command again; finished shards are kept."
        ) from error
