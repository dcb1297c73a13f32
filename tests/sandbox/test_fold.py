"""The fold: which events may follow which, and what they amount to."""

import hashlib
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import BudgetSpent, LedgerDamaged, LinbenchError, UsageError
from sandbox.events import (
    Commit,
    Edit,
    Event,
    Redo,
    Refund,
    Reserve,
    Reset,
    Resume,
    Score,
    SeedScored,
    Start,
    Stop,
    Submit,
    Undo,
)
from sandbox.fold import fold
from sandbox.ledger import Entry
from sandbox.schema import Region
from sandbox.state import SessionState
from sandbox.task_schema import Budget, Task
from sandbox.tasks import LoadedTask

TEMPLATE = "# head\na = 1\n# tail\n"
SHA = hashlib.sha256(TEMPLATE.encode()).hexdigest()
DONE = {"reason": None, "metrics": {"val_loss": 2.5}, "facts": {"seconds": 1.0}}


def started(tests: int = 3, actions: int | None = None, kind: Literal["agent", "baseline"] = "baseline") -> Start:
    """A baseline's session, if not said otherwise: it may submit the template, which most tests here leave as it is."""
    task = Task(id="t", template="t.py", file="t.py", regions=(Region("r", 2, 2),), budget=Budget(tests, actions))
    return Start(LoadedTask(task, "", TEMPLATE), "s", "tester", "agent", kind, "smoke", tests, 42, "0")


def state_after(*events: Event, start: Start | None = None) -> SessionState:
    every = [start or started(), *events]
    return fold(Entry(seq, f"time {seq}", event, "") for seq, event in enumerate(every, 1))


def edit(text: str, whole: bool = True) -> Edit:
    return Edit(f"Wrote {text!r}.", (text,), whole)


def reserve(test: int, revision: int = 0, sha: str = SHA) -> Reserve:
    return Reserve(test, revision, sha, "smoke", 42, {"max_iters": 10}, "c" * 64)


def refusal(*events: Event, start: Start | None = None) -> LinbenchError:
    """The error of the last event; those before it must be lawful."""
    state_after(*events[:-1], start=start)
    with pytest.raises(LedgerDamaged, match=f"^Line {len(events) + 1} ") as caught:
        state_after(*events, start=start)
    assert isinstance(caught.value.__cause__, LinbenchError)
    return caught.value.__cause__


def test_a_start_alone_is_the_template() -> None:
    """A session begins with the untouched script, revision 0, and its whole budget."""
    state = state_after()
    assert (state.document.text, state.revision, state.whole) == (TEMPLATE, 0, True)
    assert (state.budget_left, state.undoable, state.redoable, state.open_test) == (3, 0, 0, None)
    assert (state.began, state.seq, state.closed) == ("time 1", 1, False)


def test_a_session_begins_with_one_start() -> None:
    """No events, another first event, or a second start are no session."""
    with pytest.raises(LedgerDamaged, match="no event"):
        fold([])
    with pytest.raises(LedgerDamaged, match="not with undo"):
        fold([Entry(1, "", Undo(1), "")])
    assert "already been started" in refusal(started()).message


def test_undo_and_redo_walk_along_the_edits() -> None:
    """Undo goes back by as many changes as asked, redo forward again, and every one is a new revision."""
    state = state_after(edit("a\n"), edit("b\n"), edit("c\n"), Undo(2))
    assert (state.current.contents, state.revision, state.undoable, state.redoable) == (("a\n",), 4, 1, 2)
    state = state_after(edit("a\n"), edit("b\n"), edit("c\n"), Undo(2), Redo(1))
    assert (state.current.contents, state.revision, state.undoable, state.redoable) == (("b\n",), 5, 2, 1)


def test_an_edit_after_an_undo_drops_what_could_be_redone() -> None:
    """The branch that was undone is gone from undo and redo, as in an editor, but its revisions can still be read."""
    state = state_after(edit("a\n"), edit("b\n"), Undo(1), edit("c\n"))
    assert (state.redoable, state.undoable) == (0, 2)
    assert state.document_at(2).contents == ("b\n",)
    assert state_after(edit("a\n"), edit("b\n"), Undo(1), edit("c\n"), Undo(1)).current.contents == ("a\n",)


def test_a_reset_can_be_undone() -> None:
    """Reset gives the template back, whole, and undo gives back what stood before, whole or not."""
    staged = edit("a = (\n", whole=False)
    state = state_after(staged, Reset())
    assert (state.document.text, state.whole) == (TEMPLATE, True)
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
def test_undo_and_redo_beyond_the_end_are_refused(events: list[Event], message: str, command: str) -> None:
    """Too many steps, none, or a negative number change nothing and say what is possible."""
    error = refusal(*events)
    assert message in error.message
    assert error.run == command


@given(st.lists(st.sampled_from(["edit", "reset", "undo", "redo"]), max_size=30))
def test_undo_restores_the_exact_text(moves: list[str]) -> None:
    """Any sequence of edits, resets, undos and redos agrees with an editor's list of texts and a position in it."""
    texts, position, events = [TEMPLATE], 0, []
    for number, move in enumerate(moves):
        if move == "edit":
            events.append(edit(f"x = {number}\n"))
            texts, position = [*texts[: position + 1], f"# head\nx = {number}\n# tail\n"], position + 1
        elif move == "reset":
            events.append(Reset())
            texts, position = [*texts[: position + 1], TEMPLATE], position + 1
        elif move == "undo" and position > 0:
            events.append(Undo(1))
            position -= 1
        elif move == "redo" and position < len(texts) - 1:
            events.append(Redo(1))
            position += 1
    state = state_after(*events)
    assert state.document.text == texts[position]
    assert (state.undoable, state.redoable) == (position, len(texts) - 1 - position)


def test_actions_are_counted_where_the_task_limits_them() -> None:
    """Each edit, undo, redo and reset is an action; beyond the limit they are refused, tests are not."""
    start = started(actions=2)
    assert state_after(edit("a\n"), start=start).actions_left == 1
    error = refusal(edit("a\n"), Undo(1), Reset(), start=start)
    assert isinstance(error, BudgetSpent)
    assert "All 2 edits" in error.message
    assert state_after(edit("a\n"), Undo(1), reserve(1), start=start).open_test is not None
    assert state_after().actions_left is None


def test_a_test_is_reserved_and_committed() -> None:
    """A reservation spends the budget and keeps the source of its revision, whatever is edited meanwhile."""
    state = state_after(reserve(1), edit("a = 2\n"))
    assert state.open_test is not None
    assert (state.open_test.number, state.open_test.source, state.budget_left) == (1, TEMPLATE, 2)
    state = state_after(reserve(1), edit("a = 2\n"), Commit(1, "done", **DONE))
    assert (state.open_test, state.budget_left, state.tests[1].status) == (None, 2, "done")
    assert (state.tests[1].metrics, state.tests[1].began, state.tests[1].ended) == (
        {"val_loss": 2.5},
        "time 2",
        "time 4",
    )


def test_a_failed_test_is_spent_and_a_refunded_one_is_not() -> None:
    """The agent's own error costs the test; the machine's fault gives it back; numbers go on."""
    failed = Commit(1, "failed", "NameError", {}, {})
    state = state_after(reserve(1), failed, reserve(2), Refund(2, "disk full", "", False), reserve(3))
    assert (state.budget_left, state.refunds) == (1, 1)
    assert [test.status for test in state.tests.values()] == ["failed", "refunded", "reserved"]
    assert state.tests[1].reason == "NameError"


def test_the_budget_cannot_be_overdrawn() -> None:
    """Past the last test a reservation is refused and says what can be submitted."""
    error = refusal(reserve(1), Commit(1, "done", **DONE), reserve(2), start=started(tests=1))
    assert isinstance(error, BudgetSpent)
    assert "Tests that are done: 1" in error.message
    assert error.run == "linbench submit 1"
    error = refusal(reserve(1), Commit(1, "failed", "x", {}, {}), reserve(2), start=started(tests=1))
    assert error.run == "linbench start"


def test_the_untouched_template_is_not_proposed_for_submission() -> None:
    """An agent that tested it alone is sent on, to another test while there is one, or to another session."""
    done = [reserve(1), Commit(1, "done", **DONE)]
    for tests, expected in ((2, "linbench test"), (1, "linbench start")):
        error = refusal(*done, Submit(7, {}), start=started(tests, kind="agent"))
        assert ("Only references were tested" in error.message, error.run) == (True, expected)
    edited = edit("a = 2\n")
    sha = state_after(edited).document.revision_sha()
    error = refusal(
        *done, edited, reserve(2, 1, sha), Commit(2, "done", **DONE), reserve(3), start=started(2, kind="agent")
    )
    assert ("Tests that are done: 2." in error.message, error.run) == (True, "linbench submit 2")


def test_there_is_one_open_reservation() -> None:
    """While a test is open no other can begin, so that two processes never spend two tests on one wish."""
    error = refusal(reserve(1), reserve(2))
    assert isinstance(error, UsageError)
    assert error.run == "linbench test --resume"


def test_a_test_ends_once() -> None:
    """A second commit or refund of the same test, as after a blind retry, is refused."""
    for again in (Commit(1, "done", **DONE), Refund(1, "killed", "", True)):
        assert "already ended" in refusal(reserve(1), Commit(1, "done", **DONE), again).message
    assert "no test 7" in refusal(reserve(1), Commit(7, "done", **DONE)).message


def test_resuming_costs_nothing() -> None:
    """An interrupted test goes on under its reservation; a refunded one takes its budget back when it goes on."""
    state = state_after(reserve(1), Resume(1), Resume(1))
    assert (state.budget_left, state.tests[1].resumes) == (2, 2)
    refunded = [reserve(1), Refund(1, "killed", "signal 9", True)]
    assert state_after(*refunded).budget_left == 3
    state = state_after(*refunded, Resume(1), Commit(1, "done", **DONE))
    assert (state.budget_left, state.tests[1].status, state.tests[1].reason, state.tests[1].resumable) == (
        2,
        "done",
        None,
        False,
    )


def test_the_seeds_of_a_test_are_scored_in_turn_and_all_of_them() -> None:
    """Each seed once and in order; the commit of a result waits for all, a failure does not; a resume keeps them."""
    both = Reserve(1, 0, SHA, "smoke", 42, {"max_iters": 10}, "c" * 64, seeds=(42, 43))
    first, second = (SeedScored(1, seed, {"val_loss": seed / 10}, {}) for seed in (42, 43))
    assert "does not wait for seed 43" in refusal(both, second).message
    assert "does not wait for seed 42" in refusal(both, first, first).message
    assert "does not wait for seed 42" in refusal(reserve(1), first).message
    assert "not scored" in refusal(both, first, Commit(1, "done", **DONE)).message
    assert state_after(both, first, Commit(1, "failed", "x", {}, {})).tests[1].status == "failed"
    events = (both, first, Resume(1), second, Commit(1, "done", None, {"val_loss": 4.25}, {}))
    test = state_after(*events).tests[1]
    assert (test.all_seeds, list(test.by_seed), test.by_seed[43].metrics) == ((42, 43), [42, 43], {"val_loss": 4.3})
    later = Score(1, {"accuracy": 0.5}, {42: {"accuracy": 0.25}, 43: {"accuracy": 0.75, "val_loss": 9.0}})
    assert state_after(*events, later).tests[1].by_seed[43].metrics == {"accuracy": 0.75, "val_loss": 4.3}


def test_what_cannot_be_resumed_is_refused() -> None:
    """Finished tests, refunded ones without a checkpoint, a second open one, or a spent budget do not resume."""
    killed = [reserve(1), Refund(1, "killed", "", True)]
    assert "is done" in refusal(reserve(1), Commit(1, "done", **DONE), Resume(1)).message
    assert "is refunded" in refusal(reserve(1), Refund(1, "disk full", "", False), Resume(1)).message
    assert "Test 2 was begun" in refusal(*killed, reserve(2), Resume(1)).message
    spent = refusal(*killed, reserve(2), Commit(2, "done", **DONE), Resume(1), start=started(tests=1))
    assert isinstance(spent, BudgetSpent)


def test_a_reservation_names_what_it_tests() -> None:
    """A wrong number, a revision that does not exist or another source than that revision's is refused."""
    assert "next test is 1, not 2" in refusal(reserve(2)).message
    assert "no revision 1" in refusal(reserve(1, revision=1)).message
    assert "not revision 0" in refusal(reserve(1, sha="0" * 64)).message


def test_a_submission_closes_the_session() -> None:
    """After a submission nothing may happen any more, and the error says to open a new session."""
    closed = [reserve(1), Commit(1, "done", **DONE), Submit(1, {"name": "tester"})]
    state = state_after(*closed)
    assert (state.closed, state.submitted, state.row) == (True, 1, {"name": "tester"})
    for event in (edit("a\n"), Undo(1), Reset(), reserve(2), Submit(1, {})):
        error = refusal(*closed, event)
        assert "closed: test 1 was submitted" in error.message
        assert error.run == "linbench start"


def test_only_a_finished_test_can_be_submitted() -> None:
    """Submitting without a test, a failed one, or while one is open is refused with what to do instead."""
    error = refusal(Submit(1, {}))
    assert ("No test is done yet" in error.message, error.run) == (True, "linbench test")
    error = refusal(reserve(1), Commit(1, "done", **DONE), reserve(2), Commit(2, "failed", "x", {}, {}), Submit(2, {}))
    assert ("failed" in error.message, error.run) == (True, "linbench submit 1")
    error = refusal(reserve(1), Commit(1, "done", **DONE), reserve(2), Submit(1, {}))
    assert error.run == "linbench test --resume"


def test_a_measured_metric_is_no_longer_missing() -> None:
    """A score or a submission adds what was not measured and takes its reason away; what was measured stays."""
    missing = {"accuracy": "no data", "secret": "no data"}
    done = [reserve(1), Commit(1, "done", None, {"loss": 2.5}, {"not_measured": missing})]
    scored = [*done, Score(1, {"accuracy": 0.5, "loss": 9.0})]
    test = state_after(*scored).tests[1]
    assert (test.metrics, test.facts) == ({"accuracy": 0.5, "loss": 2.5}, {"not_measured": {"secret": "no data"}})
    final = state_after(*scored, Submit(1, {}, {"secret": 0.25})).tests[1]
    assert (final.metrics, final.facts) == ({"accuracy": 0.5, "loss": 2.5, "secret": 0.25}, {})


def test_an_invalid_test_is_kept_spent_and_cannot_be_submitted() -> None:
    """It has its reason and no metrics, costs the budget, and a submission says why not and what to run next."""
    void = Commit(1, "invalid", "not_causal", {}, {"message": "it looks ahead"})
    state = state_after(reserve(1), void)
    assert (state.tests[1].status, state.tests[1].reason, state.budget_left) == ("invalid", "not_causal", 2)
    error = refusal(reserve(1), void, Submit(1, {}))
    assert ("Test 1 is invalid (not_causal)" in error.message, error.run) == (True, "linbench test")
    error = refusal(reserve(1), void, reserve(2), Commit(2, "done", **DONE), Submit(1, {}))
    assert error.run == "linbench submit 2"
    with pytest.raises(ValueError, match="no metrics"):
        Commit(1, "invalid", "below_floor", {"val_loss": 0.01}, {})


def test_a_stop_names_the_checkpoint_that_the_next_resume_begins_with() -> None:
    """What was recorded holds for one resume: after it the training writes others. A refund records it as well."""
    stopped = [reserve(1), Stop(1, "s" * 64)]
    assert state_after(*stopped).tests[1].stopped_at == "s" * 64
    resumed = state_after(*stopped, Resume(1)).tests[1]
    assert (resumed.resumed_from, resumed.stopped_at) == ("s" * 64, None)
    assert state_after(*stopped, Resume(1), Resume(1)).tests[1].resumed_from is None
    refunded = [reserve(1), Refund(1, "killed", "", True, "r" * 64), Resume(1)]
    assert state_after(*refunded).tests[1].resumed_from == "r" * 64
    assert state_after(reserve(1), Resume(1)).tests[1].resumed_from is None
    assert "cannot be stopped" in refusal(reserve(1), Commit(1, "done", **DONE), Stop(1, "s" * 64)).message


def test_a_recorded_checkpoint_is_that_of_one_seed() -> None:
    """The seed after the one that was stopped begins with no checkpoint."""
    both = msgspec.structs.replace(reserve(1), seeds=(42, 43))
    events = [both, Stop(1, "s" * 64), Resume(1), SeedScored(1, 42, {"val_loss": 2.0}, {})]
    assert state_after(*events).tests[1].resumed_from is None


def test_what_the_check_counted_is_kept_with_the_reservation() -> None:
    """A ledger from before says nothing of it."""
    counted = msgspec.structs.replace(reserve(1), most_numbers=105, stored=100)
    test = state_after(counted).tests[1]
    assert (test.most_numbers, test.stored) == (105, 100)
    assert (state_after(reserve(1)).tests[1].most_numbers, state_after(reserve(1)).tests[1].stored) == (None, None)
