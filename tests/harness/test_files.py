"""Files of a folder that somebody else can write to."""

import os
import socket
from pathlib import Path

import pytest

from harness.files import IrregularFile, is_regular, open_regular, read_regular, remove


def strange(kind: str, path: Path) -> None:
    """Put something that is no plain file at the path."""
    match kind:
        case "link":
            path.with_name("other").write_bytes(b"secret")
            path.symlink_to("other")
        case "lost link":
            path.symlink_to("nowhere")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(path))


@pytest.mark.parametrize("kind", ["link", "lost link", "pipe", "folder", "device", "socket"])
def test_only_plain_files_are_read_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Anything else is refused by its name, without waiting for it, and can be removed; what a link leads to stays."""
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    path = Path("file")
    strange(kind, path)
    assert not is_regular(path)
    for use in (lambda: read_regular(path, 100), lambda: open_regular(path, append=True)):
        with pytest.raises(IrregularFile, match=r"^file is .*, not a plain file$"):
            use()
    remove(path)
    assert not os.path.lexists(path)
    assert not Path("nowhere").exists()
    assert kind != "link" or Path("other").read_bytes() == b"secret"


def test_a_file_may_be_too_large(tmp_path: Path) -> None:
    """Up to the limit it is read, beyond it refused; a sparse file of terabytes costs nothing."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(IrregularFile, match="has 5 bytes, and 4 at most are read"):
        read_regular(path, 4)
    os.truncate(path, 2**40)
    with pytest.raises(IrregularFile, match="1,099,511,627,776 bytes"):
        read_regular(path, 100)


def test_what_is_appended_comes_last(tmp_path: Path) -> None:
    """A file that is not there is made; one that is there keeps what it holds."""
    for text in (b"one", b"two"):
        with open_regular(tmp_path / "log", append=True) as file:
            file.write(text)
    assert (tmp_path / "log").read_bytes() == b"onetwo"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "missing")
