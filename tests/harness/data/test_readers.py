"""harness/data/readers: what a document is in each format, and which bad input is named how."""

from io import BytesIO
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.errors import DataError
from harness.data.readers import text as text_reader
from harness.data.readers.jsonl import jsonl_documents
from harness.data.readers.parquet import parquet_documents
from harness.data.readers.text import cut_into_blocks, text_documents

PATH = Path("corpus.txt")


def texts(data: bytes, block: int = 100) -> list[str]:
    return list(text_documents(BytesIO(data), PATH, block))


def test_separator_lines_part_documents() -> None:
    """Separator lines, also with CRLF, part documents, which keep what is inside them."""
    assert texts(b"one\n\nstill one\n<|endoftext|>\ntwo\r\n<|endoftext|>\r\nthree <|endoftext|> on") == [
        "one\n\nstill one",
        "two",
        "three <|endoftext|> on",
    ]


def test_text_without_separators_becomes_blocks_at_paragraph_ends() -> None:
    """Blocks end at paragraphs where they can, and none loses a character."""
    data = "".join(f"Paragraph {n} says a little.\n\n" for n in range(50))
    blocks = texts(data.encode())
    assert "".join(blocks) == data
    assert all(len(block) <= 100 and block.endswith("\n\n") for block in blocks[:-1])


@given(st.text(alphabet="ab \n", max_size=200), st.integers(1, 20))
def test_blocks_are_bounded_and_whole(text: str, block: int) -> None:
    """Any text comes back from its blocks, none of which is too long or, but for the last, empty."""
    blocks = cut_into_blocks(text, block)
    assert "".join(blocks) == text
    assert all(0 < len(part) <= block for part in blocks[:-1])


def test_a_very_long_text_is_cut_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text longer than the longest document is cut into blocks even where a separator follows later."""
    monkeypatch.setattr(text_reader, "LONGEST_DOCUMENT", 1000)
    data = "word " * 1000
    found = texts(f"{data}\n<|endoftext|>\nnext".encode())
    assert max(map(len, found)) <= 1001
    assert "".join(found).replace("\n", "") == data + "next"


def test_lines_longer_than_a_read_survive() -> None:
    """A line of several MiB with letters of three bytes is not broken where a read ends."""
    data = "日" * 2_000_000
    assert "".join(texts(data.encode(), 10_000_000)) == data


def test_a_byte_order_mark_is_dropped() -> None:
    """The mark that some editors put first is no part of the text."""
    assert texts(b"\xef\xbb\xbfhello") == ["hello"]


@pytest.mark.parametrize("data", [b"fine\nbad \xff here\n", b"fine\nends early \xe6\x97"])
def test_invalid_utf8_names_file_and_line(data: bytes) -> None:
    """Bytes that are no UTF-8 are refused with the file and the line."""
    with pytest.raises(DataError, match=r"corpus\.txt, line 2: byte 0x\w\w is not valid UTF-8"):
        texts(data)


def test_jsonl_gives_the_column_text() -> None:
    """Each line's `text` is a document; other columns and blank lines do not matter."""
    data = b'{"text": "one", "id": 3}\n\n{"id": [4], "text": "two\\n"}\n'
    assert list(jsonl_documents(BytesIO(data), PATH)) == ["one", "two\n"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "cut', r"line 2 is not a JSON object"),
        (b"[1, 2]", r"line 2 is not a JSON object"),
        (b'{"text": "\xff"}', r"line 2 is not a JSON object"),
        (b'{"id": 1, "body": "b"}', r"line 2 has no column 'text'; its columns are: id, body"),
        (b'{"text": null}', r"line 2: 'text' is None, not a string"),
    ],
)
def test_bad_jsonl_names_file_and_line(line: bytes, message: str) -> None:
    """A line that is no JSON, or has no text, is refused with the file, the line and what it has instead."""
    with pytest.raises(DataError, match=rf"corpus\.txt, {message}"):
        list(jsonl_documents(BytesIO(b'{"text": "fine"}\n' + line + b"\n"), PATH))


def test_parquet_gives_the_column_text(tmp_path: Path) -> None:
    """Rows come in order with the fraction read."""
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": range(1000), "text": [f"t{n}" for n in range(1000)]}), path)
    found = list(parquet_documents(path))
    assert [text for text, _ in found] == [f"t{n}" for n in range(1000)]
    assert found[499][1] == 0.5


def test_bad_parquet_is_explained(tmp_path: Path) -> None:
    """A missing column names those there are; a null and a file cut short name the place."""
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": [1], "body": ["b"]}), path)
    with pytest.raises(DataError, match="no column 'text'; its columns are: id, body"):
        list(parquet_documents(path))
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", None]}), path)
    with pytest.raises(DataError, match="row 2: 'text' is None"):
        list(parquet_documents(path))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.parquet is not a whole parquet file"):
        list(parquet_documents(path))
