"""Opening a source file that may be compressed (.gz, .xz, .zst); damage becomes a DataError that names the file."""

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from harness.data.errors import DataError

SUFFIXES = (".gz", ".xz", ".zst")


def plain_suffix(path: Path) -> str:
    """The suffix under the compression: ".txt" for a.txt and for a.txt.xz."""
    name = path.with_suffix("") if path.suffix in SUFFIXES else path
    return name.suffix.lower()


@contextmanager
def open_source(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open `path`: (the file as it lies on disk, whose tell() tells progress; its decompressed bytes).

    Raises DataError, also from reads inside the block, when the compressed data is damaged or cut short.
    """
    try:
        with path.open("rb") as raw:
            yield raw, _decompressed(raw, path)
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged or cut short: {error}. Fetch the file again; nothing was lost.") from error


def _decompressed(raw: BinaryIO, path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if path.suffix == ".xz":
        return cast(BinaryIO, lzma.LZMAFile(cast(IO[bytes], raw)))
    if path.suffix == ".zst":
        return cast(BinaryIO, io.BufferedReader(_ZstdFile(raw, path), 1 << 20))
    return raw


class _ZstdFile(io.RawIOBase):
    """Frames one after the other. The library's own stream reader takes a cut-short file for a finished one."""

    def __init__(self, raw: BinaryIO, path: Path):
        try:
            import zstandard
        except ImportError as error:
            raise DataError(f"{path} needs the zstandard library.", run="pip install zstandard") from error
        self._zstandard: Any = zstandard
        self._raw, self._path = raw, path
        self._frame: Any = None
        self._input, self._output = b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            if not self._input:
                self._input = self._raw.read(1 << 16)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("the last zstd frame has no end")
                return 0
            self._output = self._decompress()
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _decompress(self) -> bytes:
        self._frame = self._frame or self._zstandard.ZstdDecompressor().decompressobj()
        try:
            output: bytes = self._frame.decompress(self._input)
        except self._zstandard.ZstdError as error:
            raise DataError(f"{self._path} is damaged: {error}. Fetch the file again; nothing was lost.") from error
        self._input = b""
        if self._frame.eof:
            self._input, self._frame = self._frame.unused_data, None
        return output
