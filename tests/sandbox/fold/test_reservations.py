"""The fold of tests: each is reserved once, ends once and can go on from its own checkpoint; one can be submitted."""

from collections.abc import Callable

import pytest

from sandbox.errors import BudgetSpent, LinbenchError, UsageError
from sandbox.events import Commit, Edit, Refund, Reserve, Reset, Resume, Score, SeedScored, Stop, Submit, Undo
from sandbox.state import SessionState

StateAfter = Callable[..., SessionState]
Refusal = Callable[..., LinbenchError]
MakeReserve = Callable[..., Reserve]

DONE = {"reason": None, "metrics": {"val_loss": 2.5}, "facts": {"seconds": 1.0}}
EDITED = Edit("Wrote 'a = 2'.", ("a = 2\n",), True)


def test_a_test_is_reserved_and_committed(template: str, state_after: StateAfter, reserve: MakeReserve) -> None:
    """A reservation spends the budget and keeps the source of its revision, whatever is edited meanwhile."""
    state = state_after(reserve(1), EDITED)
    assert state.open_test is not None
    assert (state.open_test.number, state.open_test.source, state.budget_left) == (1, template, 2)
    state = state_after(reserve(1), EDITED, Commit(1, "done", **DONE))
    assert (state.open_test, state.budget_left, state.tests[1].status) == (None, 2, "done")
    assert (state.tests[1].metrics, state.tests[1].began, state.tests[1].ended) == (
        {"val_loss": 2.5},
        "time 2",
        "time 4",
    )


def test_a_failed_test_is_spent_and_a_refunded_one_is_not(state_after: StateAfter, reserve: MakeReserve) -> None:
    """The agent's own error costs the test; the machine's fault gives it back; numbers go on."""
    failed = Commit(1, "failed", "NameError", {}, {})
    state = state_after(reserve(1), failed, reserve(2), Refund(2, "disk full", "", False), reserve(3))
    assert (state.budget_left, state.refunds) == (1, 1)
    assert [test.status for test in state.tests.values()] == ["failed", "refunded", "reserved"]
    assert state.tests[1].reason == "NameError"


def test_the_budget_cannot_be_overdrawn(refusal: Refusal, reserve: MakeReserve) -> None:
    """Past the last test a reservation is refused and says what can be submitted."""
    error = refusal(reserve(1), Commit(1, "done", **DONE), reserve(2), tests=1)
    assert isinstance(error, BudgetSpent)
    assert "Tests that are done: 1" in error.message
    assert error.run == "linbench submit 1"
    error = refusal(reserve(1), Commit(1, "failed", "x", {}, {}), reserve(2), tests=1)
    assert error.run == "linbench start"


def test_the_untouched_template_is_not_proposed_for_submission(
    state_after: StateAfter, refusal: Refusal, reserve: MakeReserve
) -> None:
    """An agent that tested it alone is sent on, to another test while there is one, or to another session."""
    done = [reserve(1), Commit(1, "done", **DONE)]
    for tests, expected in ((2, "linbench test"), (1, "linbench start")):
        error = refusal(*done, Submit(7, {}), tests=tests, kind="agent")
        assert ("Only references were tested" in error.message, error.run) == (True, expected)
    sha = state_after(EDITED).document.revision_sha()
    again = [EDITED, reserve(2, revision=1, source_sha256=sha), Commit(2, "done", **DONE)]
    error = refusal(*done, *again, reserve(3), tests=2, kind="agent")
    assert ("Tests that are done: 2." in error.message, error.run) == (True, "linbench submit 2")


def test_there_is_one_open_reservation(refusal: Refusal, reserve: MakeReserve) -> None:
    """While a test is open no other can begin, so that two processes never spend two tests on one wish."""
    error = refusal(reserve(1), reserve(2))
    assert isinstance(error, UsageError)
    assert error.run == "linbench test --resume"


def test_a_test_ends_once(refusal: Refusal, reserve: MakeReserve) -> None:
    """A second commit or refund of the same test, as after a blind retry, is refused."""
    for again in (Commit(1, "done", **DONE), Refund(1, "killed", "", True)):
        assert "already ended" in refusal(reserve(1), Commit(1, "done", **DONE), again).message
    assert "no test 7" in refusal(reserve(1), Commit(7, "done", **DONE)).message


def test_resuming_costs_nothing(state_after: StateAfter, reserve: MakeReserve) -> None:
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


def test_the_seeds_of_a_test_are_scored_in_turn_and_all_of_them(
    state_after: StateAfter, refusal: Refusal, reserve: MakeReserve
) -> None:
    """Each seed once and in order; the commit of a result waits for all, a failure does not; a resume keeps them."""
    both = reserve(1, seeds=(42, 43))
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


def test_what_cannot_be_resumed_is_refused(refusal: Refusal, reserve: MakeReserve) -> None:
    """Finished tests, refunded ones without a checkpoint, a second open one, or a spent budget do not resume."""
    killed = [reserve(1), Refund(1, "killed", "", True)]
    assert "is done" in refusal(reserve(1), Commit(1, "done", **DONE), Resume(1)).message
    assert "is refunded" in refusal(reserve(1), Refund(1, "disk full", "", False), Resume(1)).message
    assert "Test 2 was begun" in refusal(*killed, reserve(2), Resume(1)).message
    spent = refusal(*killed, reserve(2), Commit(2, "done", **DONE), Resume(1), tests=1)
    assert isinstance(spent, BudgetSpent)


def test_a_reservation_names_what_it_tests(refusal: Refusal, reserve: MakeReserve) -> None:
    """A wrong number, a revision that does not exist or another source than that revision's is refused."""
    assert "next test is 1, not 2" in refusal(reserve(2)).message
    assert "no revision 1" in refusal(reserve(1, revision=1)).message
    assert "not revision 0" in refusal(reserve(1, source_sha256="0" * 64)).message


def test_a_submission_closes_the_session(state_after: StateAfter, refusal: Refusal, reserve: MakeReserve) -> None:
    """After a submission nothing may happen any more, and the error says to open a new session."""
    closed = [reserve(1), Commit(1, "done", **DONE), Submit(1, {"name": "tester"})]
    state = state_after(*closed)
    assert (state.closed, state.submitted, state.row) == (True, 1, {"name": "tester"})
    for event in (EDITED, Undo(1), Reset(), reserve(2), Submit(1, {})):
        error = refusal(*closed, event)
        assert "closed: test 1 was submitted" in error.message
        assert error.run == "linbench start"


def test_only_a_finished_test_can_be_submitted(refusal: Refusal, reserve: MakeReserve) -> None:
    """Submitting without a test, a failed one, or while one is open is refused with what to do instead."""
    error = refusal(Submit(1, {}))
    assert ("No test is done yet" in error.message, error.run) == (True, "linbench test")
    error = refusal(reserve(1), Commit(1, "done", **DONE), reserve(2), Commit(2, "failed", "x", {}, {}), Submit(2, {}))
    assert ("failed" in error.message, error.run) == (True, "linbench submit 1")
    error = refusal(reserve(1), Commit(1, "done", **DONE), reserve(2), Submit(1, {}))
    assert error.run == "linbench test --resume"


def test_a_measured_metric_is_no_longer_missing(state_after: StateAfter, reserve: MakeReserve) -> None:
    """A score or a submission adds what was not measured and takes its reason away; what was measured stays."""
    missing = {"accuracy": "no data", "secret": "no data"}
    done = [reserve(1), Commit(1, "done", None, {"loss": 2.5}, {"not_measured": missing})]
    scored = [*done, Score(1, {"accuracy": 0.5, "loss": 9.0})]
    test = state_after(*scored).tests[1]
    assert (test.metrics, test.facts) == ({"accuracy": 0.5, "loss": 2.5}, {"not_measured": {"secret": "no data"}})
    final = state_after(*scored, Submit(1, {}, {"secret": 0.25})).tests[1]
    assert (final.metrics, final.facts) == ({"accuracy": 0.5, "loss": 2.5, "secret": 0.25}, {})


def test_an_invalid_test_is_kept_spent_and_cannot_be_submitted(
    state_after: StateAfter, refusal: Refusal, reserve: MakeReserve
) -> None:
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


def test_a_stop_names_the_checkpoint_that_the_next_resume_begins_with(
    state_after: StateAfter, refusal: Refusal, reserve: MakeReserve
) -> None:
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


def test_a_recorded_checkpoint_is_that_of_one_seed(state_after: StateAfter, reserve: MakeReserve) -> None:
    """The seed after the one that was stopped begins with no checkpoint."""
    both = reserve(1, seeds=(42, 43))
    events = [both, Stop(1, "s" * 64), Resume(1), SeedScored(1, 42, {"val_loss": 2.0}, {})]
    assert state_after(*events).tests[1].resumed_from is None


def test_what_the_check_counted_is_kept_with_the_reservation(state_after: StateAfter, reserve: MakeReserve) -> None:
    """A ledger from before says nothing of it."""
    counted = reserve(1, most_numbers=105, stored=100)
    test = state_after(counted).tests[1]
    assert (test.most_numbers, test.stored) == (105, 100)
    assert (state_after(reserve(1)).tests[1].most_numbers, state_after(reserve(1)).tests[1].stored) == (None, None)
