"""harness/checkpoints.py: the newest checkpoints of a run."""

import errno
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.checkpoints import drop_kept, keep, kept, restore
from harness.files import IrregularFile
from harness.run_folder import RunFolder

Write = Callable[[int], None]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def write(folder: RunFolder) -> Write:
    """Replace ckpt.pt by a whole one of a step, as the training script does."""

    def write(step: int) -> None:
        part = folder.root / "ckpt.pt.part"
        with zipfile.ZipFile(part, "w") as archive:
            archive.writestr("step", str(step))
        part.replace(folder.checkpoint)

    return write


def step_of(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return int(archive.read("step"))


def test_keeps_the_newest(folder: RunFolder, write: Write) -> None:
    """Of four checkpoints that the script announced, the two newest are kept, and ckpt.pt is the last."""
    for step in (5, 90, 100, 1000):
        write(step)
        keep(folder, f"CHECKPOINT: step={step}", 2)
    assert [step_of(path) for path in kept(folder)] == [1000, 100]
    assert step_of(folder.checkpoint) == 1000


def test_other_lines_keep_nothing(folder: RunFolder, write: Write) -> None:
    """A line that is not the script's announcement, or one without a file, changes nothing."""
    keep(folder, "CHECKPOINT: step=5", 2)
    write(5)
    for line in ("PROGRESS: step=5", "CHECKPOINT: step=-1", "CHECKPOINT: step=../../x", " CHECKPOINT: step=5"):
        keep(folder, line, 2)
    assert kept(folder) == []


def test_a_damaged_checkpoint_is_replaced_by_the_newest_whole_one(folder: RunFolder, write: Write) -> None:
    """A file cut short costs the steps since the one before; a whole one is left alone."""
    for step in (100, 200):
        write(step)
        keep(folder, f"CHECKPOINT: step={step}", 3)
    assert not restore(folder)
    write(300)
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:20])
    assert restore(folder)
    assert step_of(folder.checkpoint) == 200
    assert [step_of(path) for path in kept(folder)] == [200, 100]


def test_a_finished_run_has_one(folder: RunFolder, write: Write) -> None:
    """The kept ones go, ckpt.pt stays; with nothing whole to go back to, nothing is restored."""
    write(100)
    keep(folder, "CHECKPOINT: step=100", 2)
    drop_kept(folder)
    assert step_of(folder.checkpoint) == 100
    folder.checkpoint.write_bytes(b"")
    assert not restore(folder)


def test_a_file_system_without_second_names_keeps_the_current_one(
    folder: RunFolder, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where links are refused, a run goes on with one checkpoint; any other fault passes through."""
    refusal = [errno.EPERM]
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError(refusal[0], "no")))
    write(100)
    keep(folder, "CHECKPOINT: step=100", 2)
    assert kept(folder) == []
    refusal[0] = errno.ENOSPC
    with pytest.raises(OSError, match="no"):
        keep(folder, "CHECKPOINT: step=100", 2)


def test_a_checkpoint_that_vanishes_meanwhile_is_not_kept(folder: RunFolder, write: Write) -> None:
    """The script may move its checkpoint right after it announced it: what is kept is whole, and nothing is raised."""
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            write(7)
            folder.checkpoint.rename(folder.root / "elsewhere")

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(2000):
            keep(folder, "CHECKPOINT: step=7", 2)
    finally:
        stop.set()
        mover.join()
    assert [step_of(path) for path in kept(folder)] in ([], [7])


def test_a_folder_in_the_place_of_a_kept_checkpoint_is_the_script_s_doing(folder: RunFolder, write: Write) -> None:
    """It is reported as an irregular file, not as a fault of the machine."""
    write(7)
    (folder.root / "ckpt-000000000007.pt").mkdir()
    with pytest.raises(IrregularFile, match="is a folder"):
        keep(folder, "CHECKPOINT: step=7", 2)
