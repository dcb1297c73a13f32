"""A session: created whole or not at all, read without a lock, changed under one, its workspace kept in step."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from sandbox.document import Document
from sandbox.errors import BudgetSpent, EditRefused, LedgerDamaged, MachineFault, UsageError
from sandbox.events import Commit, Edit, Reserve, Submit, Undo
from sandbox.ledger import KEY_VARIABLE
from sandbox.session import Session
from sandbox.task_schema import Budget
from sandbox.tasks import LoadedTask

SECOND = "# s\nc = 3\n"


def edit(first: str, whole: bool = True) -> Edit:
    return Edit("Replaced.", (first, SECOND), whole)


def accept(document: Document) -> None:
    """A check that finds nothing wrong."""


def refuse(document: Document) -> None:
    raise EditRefused("It would not do.", line=4, column=2)


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


def test_a_change_with_another_editor_is_adopted_as_one_edit(session: Session) -> None:
    """A lawful change of the workspace file becomes one edit that undo takes back."""
    text = script(session).read_text()
    script(session).write_text(text.replace("a = 1", "a = 10\nextra = 2").replace("c = 3", "c = 30"))
    state = session.adopt(accept)
    assert (state.revision, state.current.summary, state.whole) == (1, "Adopted the changes of toy.py.", True)
    assert [len(span) for span in state.document.ranges] == [3, 2]
    assert session.adopt(refuse) == state
    with session.transact() as transaction:
        transaction.append(Undo(1))
    assert script(session).read_text() == text


def test_windows_line_ends_of_an_editor_are_no_change(session: Session) -> None:
    """A file saved again with CRLF adds no edit and is put back to LF."""
    text = script(session).read_text()
    script(session).write_bytes(text.replace("\n", "\r\n").encode())
    assert session.adopt(accept).revision == 0
    assert script(session).read_bytes() == text.encode()


def test_a_change_saved_with_windows_line_ends_is_adopted_as_lf(session: Session) -> None:
    """The adopted text replaces the file at once, and nothing is moved aside."""
    text = script(session).read_text().replace("a = 1", "a = 11")
    script(session).write_bytes(text.replace("\n", "\r\n").encode())
    assert session.adopt(accept).document.text == text
    assert script(session).read_bytes() == text.encode()
    assert sorted(path.name for path in script(session).parent.iterdir()) == [".synced.json", "toy.py"]


def test_an_unlawful_change_is_refused_and_kept(session: Session) -> None:
    """A change that a guard refuses, or outside the regions, stays in the file; discarding moves it aside."""
    text = script(session).read_text()
    script(session).write_text(text.replace("a = 1", "a = ("))
    with pytest.raises(EditRefused, match=r"(?s)changed outside of linbench.*It would not do.*linbench undo") as caught:
        session.adopt(refuse)
    assert (caught.value.line, caught.value.column, caught.value.run) == (4, 2, "linbench undo")
    changed = text.replace("b = 2", "b = 20")
    script(session).write_text(changed)
    with pytest.raises(EditRefused, match="line 7 changed"):
        session.adopt(accept)
    assert (script(session).read_text(), session.read().revision) == (changed, 0)
    with session.transact() as transaction:
        assert transaction.pending
        place = transaction.discard()
        assert not transaction.pending
    assert place is not None
    assert (place.read_text(), script(session).read_text()) == (changed, text)
    assert session.adopt(refuse).revision == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"caf\xe9\n", "not UTF-8: byte 0xe9 at offset 3"),
        (b"a = 1\0\n", "NUL"),
        (b"x" * 2_000_000, "2,000,000 bytes"),
        (b"", "differs outside the editable range"),
    ],
)
def test_content_that_is_no_script_is_refused(session: Session, damage: bytes, message: str) -> None:
    """What an editor or an accident put into the file is named, and the ledger stays as it was."""
    script(session).write_bytes(damage)
    with pytest.raises(EditRefused, match=message):
        session.adopt(accept)
    assert session.read().revision == 0


def test_a_link_or_folder_in_the_workspace_is_refused_until_discarded(session: Session, tmp_path: Path) -> None:
    """A link to a file outside is not adopted; undoing it puts the script back and leaves the other file alone."""
    outside = tmp_path / "outside.py"
    outside.write_text(script(session).read_text().replace("a = 1", "a = 2"))
    script(session).unlink()
    script(session).symlink_to(outside)
    with pytest.raises(EditRefused, match=r"is a symbolic link.*linbench undo"):
        session.adopt(accept)
    with session.transact() as transaction:
        transaction.discard()
    assert not script(session).is_symlink()
    assert "a = 2" in outside.read_text()


def test_a_missing_workspace_file_is_written_again(session: Session) -> None:
    """Deleting the file, or its whole folder, loses nothing."""
    script(session).unlink()
    text = session.adopt(refuse).document.text
    assert script(session).read_text() == text
    session.folder.synced.unlink()
    script(session).unlink()
    script(session).parent.rmdir()
    session.adopt(refuse)
    assert script(session).read_text() == text


def test_a_change_that_arrives_during_a_command_is_kept(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    """What the agent's editor saves between a command's look at the file and its write is moved aside and reported."""
    with session.transact() as transaction:
        script(session).write_text("saved meanwhile")
        transaction.append(edit("# f\na = 5\n"))
    (place,) = script(session).parent.glob("*.unsaved-*")
    assert place.read_text() == "saved meanwhile"
    assert str(place) in capsys.readouterr().err
    assert session.adopt(refuse).revision == 1


def test_a_workspace_that_cannot_be_written_does_not_undo_the_edit(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once recorded, an edit stays: the failure is reported and the next command writes the file."""

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sandbox.workspace.write_atomically", full)
        with session.transact() as transaction:
            transaction.append(edit("# f\na = 5\n"))
    assert "could not be written" in capsys.readouterr().err
    assert "a = 1" in script(session).read_text()
    assert session.adopt(refuse).revision == 1
    assert "a = 5" in script(session).read_text()


def test_adopting_needs_an_action_where_they_are_limited(toy_task: LoadedTask, tmp_path: Path) -> None:
    """With all actions spent, a change of the file is refused with the way back, which is free."""
    task = structs.replace(toy_task, task=structs.replace(toy_task.task, budget=Budget(3, actions=1)))
    session = Session.create(
        task, agent="a", mode="agent", kind="agent", profile="smoke", tests=None, seeds=(1,), runs=tmp_path / "runs"
    )
    with session.transact() as transaction:
        transaction.append(edit("# f\na = 5\n"))
    script(session).write_text(session.read().document.text.replace("a = 5", "a = 6"))
    with pytest.raises(BudgetSpent, match="all 1 edits"):
        session.adopt(accept)
    with session.transact() as transaction:
        transaction.discard()
    assert session.adopt(accept).revision == 1


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
