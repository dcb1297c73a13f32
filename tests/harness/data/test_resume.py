"""A preparation that is killed, or that runs out of disk, keeps its finished shards and ends with the same data set."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from harness.data import tokenized
from harness.data.entries import ENTRIES
from harness.data.errors import DataError
from harness.data.manifest import Manifest, SourceFile
from harness.data.prepare import prepare
from harness.data.progress import Progress, silent
from harness.data.source import LocalSource
from harness.data.staging import State

TEXT = msgspec.structs.replace(next(entry for entry in ENTRIES if entry.name == "text"), shard_characters=5000)


def make(corpus: Path, name: str, report: tokenized.Report = silent, processes: int = 1) -> Manifest:
    """Prepare with shards of 5000 characters, so that a small corpus has many."""
    source = LocalSource((corpus,), (corpus.name,))
    entry = msgspec.structs.replace(TEXT, name=name)
    return tokenized.prepare_tokens(entry, source, source.identify(), "bpe:300", [], processes, report)


def interrupted_after(documents: int) -> tokenized.Report:
    """A report that stands for Ctrl-C after so many documents."""

    def interrupt(progress: Progress) -> None:
        if progress.documents > documents:
            raise KeyboardInterrupt

    return interrupt


def staged(root: Path) -> State:
    """The state of the one unfinished preparation."""
    (folder,) = root.glob(".*.preparing")
    return msgspec.json.decode((folder / "state.json").read_bytes(), type=State)


def test_an_interrupted_preparation_goes_on_after_its_last_shard(root: Path, corpus: Path) -> None:
    """Interrupted anywhere, it keeps the finished shards untouched and ends with the hash of an uninterrupted one."""
    root.mkdir()
    whole = make(corpus, "whole")
    assert len(whole.splits["train"].files) > 5
    for documents in (100, 101, 200):
        with pytest.raises(KeyboardInterrupt):
            make(corpus, "parts", interrupted_after(documents))
    before = {path: path.stat().st_mtime_ns for path in root.glob(".parts.*/train_*.bin")}
    shards = len(staged(root).shards)
    assert 5 < shards < len(whole.splits["train"].files)
    parts = make(corpus, "parts")
    after = {path.name: path.stat().st_mtime_ns for path in (root / "parts").iterdir()}
    finished = {path.name: time for path, time in before.items() if time == after[path.name]}
    assert len(finished) >= shards - 1
    assert parts.sha256 == whole.sha256
    assert make(corpus, "two", processes=2).sha256 == whole.sha256
    assert sorted(path.name for path in root.iterdir()) == ["parts", "two", "whole"]


def test_another_plan_does_not_take_over_the_shards(root: Path, corpus: Path) -> None:
    """After the source has changed, the half-made shards of the old one are not part of the data set, and go."""
    root.mkdir()
    with pytest.raises(KeyboardInterrupt):
        make(corpus, "prose", interrupted_after(100))
    corpus.write_text("".join(f"{n} other text\n<|endoftext|>\n" for n in range(2000)), encoding="utf-8")
    manifest = make(corpus, "prose")
    assert sum(split.documents for split in manifest.splits.values()) == 2000
    assert [path.name for path in root.iterdir()] == ["prose"]


SCRIPT = """
import sys, time
from pathlib import Path
import msgspec
from harness.data.entries import own_entry
from harness.data.source import LocalSource
from harness.data.tokenized import prepare_tokens

def report(progress):
    if progress.documents > 100:
        print(progress.documents, flush=True)
        time.sleep(600)

if __name__ == "__main__":
    corpus = Path(sys.argv[1])
    source = LocalSource((corpus,), (corpus.name,))
    entry = msgspec.structs.replace(own_entry("killed"), shard_characters=5000)
    prepare_tokens(entry, source, source.identify(), "bpe:300", [], 2, report)
"""


def test_kill_9_ends_the_workers_too_and_keeps_the_shards(root: Path, corpus: Path, tmp_path: Path) -> None:
    """Killed outright while it tokenizes, it leaves no process behind; the next run goes on to the same hash."""
    root.mkdir()
    script = tmp_path / "run.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(script), str(corpus)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(), start_new_session=True)
    assert process.stdout is not None
    with process.stdout:
        assert int(process.stdout.readline()) > 100
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    _wait_until_gone(process.pid)
    assert len(staged(root).shards) > 2
    assert make(corpus, "killed").sha256 == make(corpus, "whole").sha256


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}


def _wait_until_gone(group: int) -> None:
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("worker processes outlive their killed parent")


def test_a_killed_worker_is_said_and_keeps_the_shards(root: Path, corpus: Path) -> None:
    """Where a worker process is killed, for memory perhaps, the message says so and the next run goes on."""
    root.mkdir()

    def kill_workers(progress: Progress) -> None:
        if progress.documents > 100:
            for child in multiprocessing.active_children():
                child.kill()

    with pytest.raises(DataError, match=r"one of 2 tokenizing processes was killed.* finished shards are kept"):
        make(corpus, "prose", kill_workers, processes=2)
    assert len(staged(root).shards) > 2
    assert make(corpus, "prose").sha256 == make(corpus, "whole").sha256


LIMITED = """
import resource, sys
from pathlib import Path
from harness.data.errors import DataError
from harness.data.prepare import prepare
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    prepare("prose", [Path(sys.argv[1])], "bytes", processes=1)
except DataError as error:
    print(error.message, error.run, sep="\\n")
"""


def test_a_full_disk_is_said_and_loses_nothing(root: Path, corpus: Path) -> None:
    """A write that is refused for want of room becomes a message with the command to repeat, which then works."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(corpus)],
        capture_output=True,
        text=True,
        env=_environment(),
        check=True,
    )
    message, run = done.stdout.splitlines()
    assert message.startswith(f"no room is left in {root}")
    assert run == f"linbench data prepare prose --source {corpus} --tokenizer bytes"
    assert prepare("prose", [corpus], "bytes", processes=1).splits["train"].documents == 240


def test_a_damaged_source_keeps_what_was_finished(root: Path, corpus: Path) -> None:
    """A source that fails in the middle of a survey is named before any shard is written."""
    root.mkdir()
    data = corpus.read_bytes()
    corpus.write_bytes(data[:20000] + b"\xff" + data[20000:])
    with pytest.raises(DataError, match="is not valid UTF-8"):
        make(corpus, "prose")
    corpus.write_bytes(data)
    assert make(corpus, "prose").sources == (
        SourceFile("corpus.txt", LocalSource((corpus,), ("x",)).identify()[0].sha256),
    )
