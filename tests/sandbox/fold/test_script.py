"""The fold of edits: they begin with the template, and undo, redo and reset give the exact texts back."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import BudgetSpent, LedgerDamaged, LinbenchError
from sandbox.events import Edit, Event, Redo, Reserve, Reset, Start, Undo
from sandbox.fold import fold
from sandbox.ledger import Entry
from sandbox.state import SessionState

StateAfter = Callable[..., SessionState]
Refusal = Callable[..., LinbenchError]
MakeReserve = Callable[..., Reserve]


def edit(text: str, whole: bool = True) -> Edit:
    return Edit(f"Wrote {text!r}.", (text,), whole)


def test_a_start_alone_is_the_template(template: str, state_after: StateAfter) -> None:
    """A session begins with the untouched script, revision 0, and its whole budget."""
    state = state_after()
    assert (state.document.text, state.revision, state.whole) == (template, 0, True)
    assert (state.budget_left, state.undoable, state.redoable, state.open_test) == (3, 0, 0, None)
    assert (state.began, state.seq, state.closed) == ("time 1", 1, False)


def test_a_session_begins_with_one_start(started: Callable[..., Start], refusal: Refusal) -> None:
    """No events, another first event, or a second start are no session."""
    with pytest.raises(LedgerDamaged, match="no event"):
        fold([])
    with pytest.raises(LedgerDamaged, match="not with undo"):
        fold([Entry(1, "", Undo(1), "")])
    assert "already been started" in refusal(started()).message


def test_undo_and_redo_walk_along_the_edits(state_after: StateAfter) -> None:
    """Undo goes back by as many changes as asked, redo forward again, and every one is a new revision."""
    state = state_after(edit("a\n"), edit("b\n"), edit("c\n"), Undo(2))
    assert (state.current.contents, state.revision, state.undoable, state.redoable) == (("a\n",), 4, 1, 2)
    state = state_after(edit("a\n"), edit("b\n"), edit("c\n"), Undo(2), Redo(1))
    assert (state.current.contents, state.revision, state.undoable, state.redoable) == (("b\n",), 5, 2, 1)


def test_an_edit_after_an_undo_drops_what_could_be_redone(state_after: StateAfter) -> None:
    """The branch that was undone is gone from undo and redo, as in an editor, but its revisions can still be read."""
    state = state_after(edit("a\n"), edit("b\n"), Undo(1), edit("c\n"))
    assert (state.redoable, state.undoable) == (0, 2)
    assert state.document_at(2).contents == ("b\n",)
    assert state_after(edit("a\n"), edit("b\n"), Undo(1), edit("c\n"), Undo(1)).current.contents == ("a\n",)


def test_a_reset_can_be_undone(template: str, state_after: StateAfter) -> None:
    """Reset gives the template back, whole, and undo gives back what stood before, whole or not."""
    staged = edit("a = (\n", whole=False)
    state = state_after(staged, Reset())
    assert (state.document.text, state.whole) == (template, True)
    state = state_after(staged, Reset(), Undo(1))
    assert (state.current.contents, state.whole) == (("a = (\n",), False)


@pytest.mark.parametrize(
    ("events", "message", "command"),
    [
        ([Undo(1)], "nothing to undo", "linbench show"),
        ([edit("a\n"), Undo(3)], "only 1", "linbench undo 1"),
        ([edit("a\n"), Undo(0)], "from 1 up", "linbench undo"),
        ([edit("a\n"), Undo(-1)], "from 1 up", "linbench undo"),
        ([edit("a\n"), Redo(1)], "nothing to redo", "linbench show"),
        ([edit("a\n"), edit("b\n"), Undo(2), Redo(3)], "only 2", "linbench redo 2"),
    ],
)
def test_undo_and_redo_beyond_the_end_are_refused(
    events: list[Event], message: str, command: str, refusal: Refusal
) -> None:
    """Too many steps, none, or a negative number change nothing and say what is possible."""
    error = refusal(*events)
    assert message in error.message
    assert error.run == command


@given(moves=st.lists(st.sampled_from(["edit", "reset", "undo", "redo"]), max_size=30))
def test_undo_restores_the_exact_text(moves: list[str], template: str, state_after: StateAfter) -> None:
    """Any sequence of edits, resets, undos and redos agrees with an editor's list of texts and a position in it."""
    texts, position, events = [template], 0, []
    for number, move in enumerate(moves):
        if move == "edit":
            events.append(edit(f"x = {number}\n"))
            texts, position = [*texts[: position + 1], f"# head\nx = {number}\n# tail\n"], position + 1
        elif move == "reset":
            events.append(Reset())
            texts, position = [*texts[: position + 1], template], position + 1
        elif move == "undo" and position > 0:
            events.append(Undo(1))
            position -= 1
        elif move == "redo" and position < len(texts) - 1:
            events.append(Redo(1))
            position += 1
    state = state_after(*events)
    assert state.document.text == texts[position]
    assert (state.undoable, state.redoable) == (position, len(texts) - 1 - position)


def test_actions_are_counted_where_the_task_limits_them(
    state_after: StateAfter, refusal: Refusal, reserve: MakeReserve
) -> None:
    """Each edit, undo, redo and reset is an action; beyond the limit they are refused, tests are not."""
    assert state_after(edit("a\n"), actions=2).actions_left == 1
    error = refusal(edit("a\n"), Undo(1), Reset(), actions=2)
    assert isinstance(error, BudgetSpent)
    assert "All 2 edits" in error.message
    assert state_after(edit("a\n"), Undo(1), reserve(1), actions=2).open_test is not None
    assert state_after().actions_left is None
