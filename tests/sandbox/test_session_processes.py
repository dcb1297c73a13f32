"""Sessions under real processes: killed at any moment, at every step, and many at once."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import sandbox
from sandbox.discovery import list_sessions
from sandbox.document import Document
from sandbox.errors import EditRefused
from sandbox.events import Edit, Undo
from sandbox.paths import SessionFolder
from sandbox.session import Session
from sandbox.tasks import LoadedTask

PROCESSES = Path(__file__).parent / "processes"


def spawn(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", str(PROCESSES / f"{program}.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(sandbox.__file__).parents[1])}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def refuse(document: Document) -> None:
    raise EditRefused("nobody changed the workspace file by hand")


def assert_in_step(session: Session) -> None:
    """The next command brings the workspace to the ledger's text, with nothing moved aside or left lying about."""
    state = session.adopt(refuse)
    script = session.folder.workspace(state.frame.file)
    assert script.read_text() == state.document.text
    assert sorted(path.name for path in script.parent.iterdir()) == [".synced.json", script.name]


def test_kill_9_at_any_moment_loses_and_doubles_nothing(session: Session) -> None:
    """Whenever an editing process is killed, every edit that it confirmed is there once, and at most one more."""
    moments = random.Random(2)
    confirmed = 0
    for _ in range(20):
        process = spawn("edit_until_killed", str(session.folder.root))
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(moments.uniform(0, 0.03))
        process.kill()
        lines = [first, *process.stdout.read().splitlines()]  # communicate() would lose what readline() has buffered
        process.communicate()
        state = session.read()
        assert int(lines[-1]) <= state.revision <= int(lines[-1]) + 1
        assert int(first) == confirmed + 1
        summaries = [revision.summary for revision in state.revisions[1:]]
        assert summaries == [f"edit {number}" for number in range(1, state.revision + 1)]
        assert_in_step(session)
        confirmed = state.revision


def test_a_crash_at_every_step_is_made_good_by_the_next_command(session: Session, tmp_path: Path) -> None:
    """Died before any two effects of two edits in a row: each edit is there or not, and the workspace follows."""
    process = spawn("crash_at_every_step", "edits", str(session.folder.root), str(tmp_path / "crashed"))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    folders = sorted((tmp_path / "crashed").iterdir())
    outcomes = set()
    for folder in folders:
        crashed = Session(SessionFolder(folder))
        outcomes.add(tuple(revision.summary for revision in crashed.read().revisions[1:]))
        assert_in_step(crashed)
        with crashed.transact() as transaction:
            revision = transaction.append(Edit("after", ("a = 3\n", ""), True)).revision
            assert transaction.append(Undo(1)).revision == revision + 1
        assert_in_step(crashed)
    assert outcomes == {(), ("edit 10",), ("edit 20",), ("edit 10", "edit 20")}
    assert len(folders) >= 64  # eight effects of one edit, times those of the next


def test_a_crash_while_creating_leaves_a_whole_session_or_none(toy_task: LoadedTask, tmp_path: Path) -> None:
    """Whatever a killed `start` leaves behind is either a session that can be used or is not taken for one."""
    process = spawn("crash_at_every_step", "creates", toy_task.to_json(), str(tmp_path / "crashed"))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    counts = []
    for runs in sorted((tmp_path / "crashed").iterdir(), key=lambda path: int(path.name)):
        sessions = list_sessions(runs)
        counts.append(len(sessions))
        for found in sessions:
            assert found.read().start.session == found.name
            assert_in_step(found)
    assert counts == sorted(counts)
    assert set(counts) == {0, 1}


def test_ten_processes_edit_and_read_one_session(session: Session) -> None:
    """Every event of ten processes lands once, each one's in its own order, and no reader sees a half-written line."""
    processes = [spawn("edit_and_read", str(session.folder.root), f"process {number}") for number in range(10)]
    for process in processes:
        assert process.communicate() == ("", "")
        assert process.returncode == 0
    summaries = [revision.summary for revision in session.read().revisions[1:]]
    assert len(summaries) == 100
    for number in range(10):
        mine = [summary for summary in summaries if summary.startswith(f"process {number}-")]
        assert mine == [f"process {number}-{edit}" for edit in range(10)]
    assert_in_step(session)


def test_ten_first_commands_make_one_session(toy_task: LoadedTask, tmp_path: Path) -> None:
    """Ten commands at once in an empty folder open one session between them, and all their edits are in it."""
    runs = tmp_path / "runs"
    processes = [spawn("first_command", str(runs), toy_task.to_json()) for _ in range(10)]
    replies = [process.communicate() for process in processes]
    assert sorted(replies) == [("created\n", ""), *[("found\n", "")] * 9]
    (session,) = list_sessions(runs)
    assert session.read().revision == 10
    assert_in_step(session)
