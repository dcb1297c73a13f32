"""A session: created whole or not at all, read without a lock, changed under one."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.document import Document
from sandbox.errors import EditRefused, LedgerDamaged, MachineFault, UsageError
from sandbox.events import Commit, Edit, Reserve, Submit, Undo
from sandbox.ledger import KEY_VARIABLE
from sandbox.session import Session

SECOND = "# s\nc = 3\n"


def edit(first: str, whole: bool = True) -> Edit:
    return Edit("Replaced.", (first, SECOND), whole)


def accept(document: Document) -> None:
    """A check that finds nothing wrong."""


def refuse(document: Document) -> None:
    raise EditRefused("It would not do.")


def script(session: Session) -> Path:
    return session.folder.workspace("toys/toy.py")


def submit(session: Session) -> None:
    with session.transact() as transaction:
        sha = transaction.state.document.revision_sha()
        transaction.append(Reserve(1, transaction.state.revision, sha, "smoke", 42, {}, ""))
        transaction.append(Commit(1, "done", None, {"val_loss": 2.0}, {}))
        transaction.append(Submit(1, {}))


def test_create_writes_the_ledger_and_the_workspace(session: Session) -> None:
    """A new session holds the untouched script, its whole budget, and a name that says when and what."""
    state = session.read()
    assert re.fullmatch(r"\d{8}-\d{6}-toy-[0-9a-f]{4}", session.name)
    assert state.start.session == session.name
    assert script(session).read_text() == state.document.text == state.task.template
    assert (state.budget_left, state.revision, state.closed) == (3, 0, False)
    assert [path.name for path in session.folder.root.parent.iterdir()] == [session.name]


def test_sessions_of_the_same_second_have_names_in_order(new_session: Callable[..., Session]) -> None:
    """Any number of sessions begun at once get names of their own, which sort by time."""
    names = [new_session().name for _ in range(20)]
    assert len(set(names)) == 20
    assert names == sorted(names)


def test_the_budget_is_the_tasks_unless_given(new_session: Callable[..., Session]) -> None:
    """A vanilla session has one test; an agent's has the task's or the number asked for, at least one."""
    assert new_session(mode="vanilla", kind="vanilla").read().budget_left == 1
    assert new_session(tests=7).read().budget_left == 7
    with pytest.raises(UsageError, match="one test, not 2"):
        new_session(mode="vanilla", tests=2)
    with pytest.raises(UsageError, match="at least one test, not 0"):
        new_session(tests=0)


@pytest.mark.parametrize("place", ["/proc/runs", "file/runs", "file"])
def test_a_runs_folder_that_cannot_be_written_says_which_setting_to_change(
    new_session: Callable[..., Session], tmp_path: Path, place: str
) -> None:
    """Where no session can be made, the error names the folder and LINBENCH_RUNS, and nothing is left behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineFault, match=r"cannot be written: .* Set LINBENCH_RUNS"):
        new_session(runs=tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("seed", [-1, 2**32, 10**30])
def test_a_seed_that_no_generator_takes_is_refused(new_session: Callable[..., Session], seed: int) -> None:
    """Seeds are the 32-bit numbers that NumPy and PyTorch both take."""
    with pytest.raises(UsageError, match=f"seed is {seed}, but must be from 0 to 4294967295"):
        new_session(seeds=(seed,))


def test_a_session_that_cannot_be_built_leaves_nothing(
    new_session: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error halfway through the making of a session takes its folders away again."""

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sandbox.workspace.write_atomically", full)
    with pytest.raises(MachineFault, match=r"No space left on device. Set LINBENCH_RUNS"):
        new_session()
    assert list((tmp_path / "runs").iterdir()) == []


def test_an_edit_lands_in_the_ledger_and_in_the_workspace(session: Session) -> None:
    """After a transaction, another process reads the new state and finds the new script in the workspace."""
    with session.transact() as transaction:
        after = transaction.append(edit("# f\na = 5\n"))
    again = Session(session.folder).read()
    assert again == after
    assert (again.revision, again.document.lines[4]) == (1, "a = 5\n")
    assert script(session).read_text() == again.document.text


def test_an_unlawful_event_leaves_everything_as_it_was(session: Session) -> None:
    """The ledger's bytes do not change when an event is refused, and the transaction goes on with lawful ones."""
    before = session.folder.ledger.read_bytes()
    with session.transact() as transaction:
        with pytest.raises(UsageError, match="nothing to undo"):
            transaction.append(Undo(1))
        assert session.folder.ledger.read_bytes() == before
        assert transaction.append(edit("a\n")).revision == 1


def test_a_closed_session_refuses_edits_and_leaves_the_workspace_alone(session: Session) -> None:
    """After a submission an edit is refused with the command for a new session, and own edits are no longer taken."""
    submit(session)
    with session.transact() as transaction, pytest.raises(UsageError, match="is closed") as caught:
        transaction.append(edit("a\n"))
    assert caught.value.run == "linbench start"
    script(session).write_text("scribbled")
    assert session.adopt(refuse).closed
    assert script(session).read_text() == "scribbled"


def test_a_torn_line_is_reported_once(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that a crash cut short is reported on stderr, dropped, and gone after the next event."""
    with session.folder.ledger.open("ab") as file:
        file.write(b'{"seq":2,"time":"20')
    assert session.read().revision == session.read().revision == 0
    reply = capsys.readouterr()
    assert (reply.out, reply.err.count("cut short by a crash (19 bytes)")) == ("", 1)
    with session.transact() as transaction:
        transaction.append(edit("a\n"))
    assert Session(session.folder).read().revision == 1
    assert "cut short" not in capsys.readouterr().err.partition("\n")[2]


def test_a_damaged_ledger_stops_every_command(session: Session) -> None:
    """Neither reading nor changing goes past a changed byte, and the workspace is not touched."""
    with session.transact() as transaction:
        transaction.append(edit("a\n"))
    data = session.folder.ledger.read_bytes()
    session.folder.ledger.write_bytes(data.replace(b"tester", b"cheater"))
    for command in (session.read, lambda: session.transact().__enter__(), lambda: session.adopt(accept)):
        with pytest.raises(LedgerDamaged, match=r"Line 1 of .*ledger\.jsonl"):
            command()


def test_a_signed_session_needs_its_key(new_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch) -> None:
    """A session begun with LINBENCH_LEDGER_KEY takes events only with it, and is read without."""
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    session = new_session()
    monkeypatch.delenv(KEY_VARIABLE)
    unsigned = Session(session.folder)
    assert unsigned.read().revision == 0
    with unsigned.transact() as transaction, pytest.raises(MachineFault, match=KEY_VARIABLE):
        transaction.append(edit("a\n"))


def test_a_lock_that_is_held_too_long_names_its_holder(session: Session) -> None:
    """Waiting ends with the process that holds the lock and what to do; afterwards the lock is free as before."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with session.transact():
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        message = rf"working on session {session.name} for 0.1 s.*repeat the command"
        with pytest.raises(MachineFault, match=message), Session(session.folder).transact(timeout=0.1):
            pass
        assert session.read().revision == 0
    finally:
        done.set()
        thread.join()
    with session.transact() as transaction:
        transaction.append(edit("a\n"))
