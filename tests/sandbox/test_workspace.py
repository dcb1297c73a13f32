"""The workspace file: what stands there is told apart, and nothing but a plain file is ever written or read."""

import os
from pathlib import Path

import pytest

from sandbox.paths import SessionFolder
from sandbox.workspace import Workspace

OLD, NEW = "a = 1\n", "a = 2\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace that was written for event 1."""
    workspace = Workspace.of(SessionFolder(tmp_path / "session"), "toys/toy.py")
    workspace.write(OLD, 1)
    return workspace


def kept(workspace: Workspace) -> list[Path]:
    return sorted(workspace.path.parent.glob("*.unsaved-*"))


def test_a_written_file_is_the_same(workspace: Workspace) -> None:
    """After a write the file holds the text and nothing else lies about but its note."""
    assert workspace.path.read_text() == OLD
    assert workspace.inspect(OLD, 1).status == "same"
    assert sorted(path.name for path in workspace.path.parent.iterdir()) == [".synced.json", "toy.py"]


def test_a_file_left_by_a_crash_is_behind(workspace: Workspace) -> None:
    """Killed before the file, before its note, or with no file at all: the file is behind and is written again."""
    assert workspace.inspect(NEW, 2).status == "behind"
    workspace.path.write_text(NEW)
    assert workspace.inspect(NEW, 2).status == "behind"
    workspace.path.unlink()
    assert workspace.inspect(NEW, 2).status == "behind"
    assert workspace.write(NEW, 2) is None
    assert workspace.inspect(NEW, 2).status == "same"


def test_a_file_that_the_agent_wrote_is_changed(workspace: Workspace) -> None:
    """Another text is the agent's, and so is an earlier text that the agent put back."""
    workspace.path.write_text("a = 3\n")
    assert workspace.inspect(OLD, 1).data == b"a = 3\n"
    assert workspace.inspect(OLD, 1).status == "changed"
    workspace.write(NEW, 2, over=b"a = 3\n")
    workspace.path.write_text(OLD)
    assert workspace.inspect(NEW, 2).status == "changed"


@pytest.mark.parametrize("note", [None, "", "{", '{"seq": "x"}', "null"])
def test_without_its_note_a_file_counts_as_the_agents(workspace: Workspace, note: str | None) -> None:
    """A missing or broken note never leads to an agent's change being overwritten."""
    workspace.note.unlink()
    if note is not None:
        workspace.note.write_text(note)
    assert workspace.inspect(NEW, 2).status == "changed"


def test_a_change_is_moved_aside_never_overwritten(workspace: Workspace) -> None:
    """What the agent wrote in the meantime is kept beside the file, and the reply can say where."""
    workspace.path.write_text("precious\n")
    place = workspace.write(NEW, 2, over=OLD.encode())
    assert place is not None
    assert (place.read_text(), workspace.path.read_text()) == ("precious\n", NEW)
    assert kept(workspace) == [place]


def test_a_symbolic_link_is_neither_read_nor_written_through(workspace: Workspace, tmp_path: Path) -> None:
    """A link to a file outside: its content is not taken, and a write replaces the link, not the file."""
    outside = tmp_path / "outside.py"
    outside.write_text("secret\n")
    workspace.path.unlink()
    workspace.path.symlink_to(outside)
    finding = workspace.inspect(OLD, 1)
    assert (finding.status, finding.data) == ("unreadable", None)
    assert "is a symbolic link" in finding.problem
    workspace.write(NEW, 2)
    assert outside.read_text() == "secret\n"
    assert (workspace.path.is_symlink(), workspace.path.read_text()) == (False, NEW)


def test_a_linked_folder_or_note_is_not_written_through(workspace: Workspace, tmp_path: Path) -> None:
    """The workspace folder or its note turned into a link to somewhere else: that place stays untouched."""
    elsewhere = tmp_path / "elsewhere"
    workspace.path.parent.rename(elsewhere)
    workspace.path.parent.symlink_to(elsewhere)
    assert workspace.inspect(OLD, 1).status == "unreadable"
    workspace.write(NEW, 2)
    assert (elsewhere / "toy.py").read_text() == OLD
    assert workspace.inspect(NEW, 2).status == "same"
    target = tmp_path / "target"
    target.write_text("kept")
    workspace.note.unlink()
    workspace.note.symlink_to(target)
    workspace.write(OLD, 3)
    assert target.read_text() == "kept"
    assert workspace.inspect(OLD, 3).status == "same"


def test_a_folder_in_place_of_the_file_is_moved_aside(workspace: Workspace) -> None:
    """A directory is no script; what is in it survives the restoring."""
    workspace.path.unlink()
    workspace.path.mkdir()
    (workspace.path / "inside").write_text("kept")
    assert "is a folder" in workspace.inspect(OLD, 1).problem
    workspace.write(NEW, 2)
    assert workspace.path.read_text() == NEW
    assert (kept(workspace)[0] / "inside").read_text() == "kept"


def test_a_file_in_place_of_the_folder_is_moved_aside(workspace: Workspace) -> None:
    """The workspace folder replaced by a file does not stop a session."""
    folder = workspace.path.parent
    folder.rename(folder.with_name("moved"))
    folder.write_text("a file")
    assert "is not a folder" in workspace.inspect(OLD, 1).problem
    workspace.write(NEW, 2)
    assert workspace.path.read_text() == NEW


def test_a_named_pipe_does_not_hang(workspace: Workspace) -> None:
    """A pipe that nobody writes to is refused at once, as script and as note."""
    workspace.path.unlink()
    os.mkfifo(workspace.path)
    assert "is a named pipe" in workspace.inspect(OLD, 1).problem
    workspace.note.unlink()
    os.mkfifo(workspace.note)
    workspace.write(NEW, 2)
    assert workspace.inspect(NEW, 2).status == "same"


def test_a_huge_file_is_not_read(workspace: Workspace) -> None:
    """100 MB where a script should be are refused by their size and survive the restoring."""
    with workspace.path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    assert "104,857,600 bytes" in workspace.inspect(OLD, 1).problem
    workspace.write(NEW, 2)
    assert kept(workspace)[0].stat().st_size == 100 * 1024 * 1024


def test_the_sweep_takes_only_what_a_killed_write_left(workspace: Workspace) -> None:
    """Temporary files of an atomic write go; an editor's swap file and the agent's own files stay."""
    folder = workspace.path.parent
    for name in (".toy.py.a1b2c3_d", ".toy.py.swp", "notes.txt", "toy.py.orig"):
        (folder / name).write_text("")
    workspace.sweep()
    assert {path.name for path in folder.iterdir()} == {
        ".synced.json",
        ".toy.py.swp",
        "notes.txt",
        "toy.py",
        "toy.py.orig",
    }
