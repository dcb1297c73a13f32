"""The workspace file of a session: what another editor made of it is adopted, refused or kept, and never lost."""

from pathlib import Path

import pytest
from msgspec import structs

from sandbox.document import Document
from sandbox.errors import BudgetSpent, EditRefused
from sandbox.events import Edit, Undo
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
