"""Files of a folder that somebody else can write to."""

import os
import socket
from pathlib import Path

import pytest

from harness.files import IrregularFile, is_regular, open_regular, read_regular, remove, temporary_folder


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


def nest(folder: Path, levels: int) -> None:
    """Folders in each other, deeper than any path reaches, with a file at the end."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def test_a_folder_is_removed_however_deep_it_is(tmp_path: Path) -> None:
    """Thousands of levels, names that are taken, links, closed folders: all goes, and what links lead to stays."""
    folder, kept = tmp_path / "folder", tmp_path / "kept"
    folder.mkdir()
    kept.write_text("kept")
    nest(folder, 3000)
    for name in (".removed-0", "a/.removed-0/b", "a/.removed-1"):
        (folder / name).mkdir(parents=True)
    (folder / "a" / "link").symlink_to(tmp_path)
    os.mkfifo(folder / "a" / "pipe")
    (folder / "a").chmod(0)
    remove(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    with temporary_folder(tmp_path) as inside:
        nest(inside, 2000)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_is_closed_to_its_owner_is_irregular_and_can_be_removed() -> None:
    """A user other than root cannot read a file without permissions; it is told from a fault of the machine."""
    with temporary_folder() as root:
        root.chmod(0o777)
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            (root / "file").touch(mode=0)
            with pytest.raises(IrregularFile, match=r"^file is closed to its owner, not a plain file$"):
                read_regular(root / "file", 100)
            (root / "a" / "b").mkdir(parents=True)
            (root / "a" / "b" / "c").touch()
            (root / "a" / "b").chmod(0)
            (root / "a").chmod(0)
            remove(root / "a")
            assert os.listdir(root) == ["file"]
        finally:
            os.seteuid(before)
