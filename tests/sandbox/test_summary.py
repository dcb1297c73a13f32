"""Status and runs: what they say in each state of a session, and what they keep to themselves."""

import json
from collections.abc import Callable

import pytest

from harness.metrics import Evaluation
from sandbox.comparison import compare_report
from sandbox.errors import UsageError
from sandbox.events import Commit, Edit, Event, Refund, Resume, Submit
from sandbox.state import SessionState
from sandbox.summary import next_commands, run_report, status_report

Play = Callable[..., SessionState]
RunTest = Callable[..., list[Event]]
SCORES = {"val_loss": 2.5, "accuracy": 0.25, "secret": 0.125}
CURVE = [
    Evaluation(step, loss + 0.5, loss, seconds=1.0, tokens=100, tokens_per_second=100.0)
    for step, loss in ((10, 3.0), (20, 1.6), (30, 1.0))
]


def test_next_commands_follow_the_state(play: Play, run_test: RunTest) -> None:
    """At every point of a session the first command named is the one that brings it forward."""
    first = run_test(1, "a = 2\n", SCORES)
    second = run_test(2, "a = 3\n", {"val_loss": 2.75})
    third = run_test(3, "a = 4\n", None)
    assert next_commands(play())[0] == "linbench edit --range 4-5"
    assert next_commands(play(Edit("Replaced.", ("a = (\n", "c = 3\n"), False))) == [
        "linbench edit --range 4-4",
        "linbench check",
    ]
    assert next_commands(play(*first[:1]))[0] == "linbench test"
    assert next_commands(play(*first[:2])) == ["linbench test --resume"]
    assert next_commands(play(*first))[-1] == "linbench submit 1"
    assert next_commands(play(*first, *second, *third)) == ["linbench submit 1"]
    assert next_commands(play(*first, Submit(1, {})))[0] == "linbench leaderboard toy"


def test_refunded_test_is_offered_again(play: Play, run_test: RunTest) -> None:
    """A test that the machine stopped costs nothing and can be resumed, first of all until a later one ran."""
    stopped = [*run_test(1, "a = 2\n", None)[:2], Refund(1, "killed", "signal 9", resumable=True)]
    state = play(*stopped)
    assert next_commands(state)[0] == "linbench test --resume"
    later = next_commands(play(*stopped, *run_test(2, "a = 3\n", SCORES)))
    assert later[-2:] == ["linbench test --resume", "linbench submit 2"]
    assert status_report(state).data["budget"] == {"tests": 3, "left": 3, "refunded": 1}


def test_a_run_says_how_often_it_was_resumed(play: Play, run_test: RunTest) -> None:
    """The count stands beside the times of the run, where there is one."""
    edit, reserve, end = run_test(1, "a = 2\n", SCORES)
    assert "resumed 2 time(s)" in run_report(play(edit, reserve, Resume(1), Resume(1), end), 1).text()
    assert "resumed" not in run_report(play(edit, reserve, end), 1).text()


def test_spent_session_without_a_result_says_start(play: Play, run_test: RunTest) -> None:
    """When every test has failed, the only way on is another session."""
    state = play(*run_test(1, "a = 2\n", None), tests=1)
    assert next_commands(state) == ["linbench start"]


def test_status_tells_budget_ranges_and_tests(play: Play, run_test: RunTest) -> None:
    """The reply names the task, what is editable, what is left, and every test with its score or its reason."""
    state = play(*run_test(1, "a = 2\nb = 3\nd = 4\n", SCORES), *run_test(2, "a = 4\n", None))
    text = status_report(state).text()
    assert "toys/toy.py, revision 2" in text
    assert "4–4, 8–9" in text
    assert "1 of 3 left" in text
    assert "2.5000" in text
    assert "the training loss became nan" in text
    data = json.loads(json.dumps(status_report(state).data))
    assert data["regions"][0] == {"name": "first", "first": 4, "last": 4}
    assert [test["status"] for test in data["tests"]] == ["done", "failed"]


@pytest.mark.parametrize("closed", [False, True])
def test_hidden_metrics_are_in_no_form_before_submission(play: Play, run_test: RunTest, closed: bool) -> None:
    """Neither text nor JSON of an open session holds what the task hides; those of a closed one do."""
    state = play(*run_test(1, "a = 2\n", SCORES), *([Submit(1, {})] if closed else []))
    for report in (status_report(state), run_report(state, 1)):
        assert ("0.1250" in report.text()) is closed
        assert ("0.125" in json.dumps(report.data)) is closed


def test_run_shows_metrics_curve_and_facts(play: Play, run_test: RunTest) -> None:
    """One run's reply holds its scores, its loss curve as a sparkline, its speed, its size and its hashes."""
    state = play(*run_test(1, "a = 2\n", SCORES))
    report = run_report(state, 1, CURVE)
    lines = dict(line.split("  ", 1) for line in report.text().splitlines() if "  " in line)
    values = {name: value.strip() for name, value in lines.items()}
    assert values["val_loss_smoke"] == "2.5000  nats a token"
    assert values["loss curve"] == "█▃▁  3.0000 to 1.0000 over 30 steps"
    assert values["seconds"] == "1 min 01 s"
    assert values["tokens per second"] == "12,346"
    assert values["parameters"] == "1,048,576"
    assert f"data {'d' * 12}," in values["sha256"]
    assert f"source {state.tests[1].source_sha256[:12]}," in values["sha256"]
    assert report.data["source_sha256"] == state.tests[1].source_sha256
    assert [point["val_loss"] for point in report.data["curve"]] == [3.0, 1.6, 1.0]


def test_failed_run_shows_why_and_where(play: Play, run_test: RunTest) -> None:
    """The reason, its explanation and the agent's own lines of the traceback are part of the reply."""
    traceback = "  toys/toy.py, line 4, in f\n    x = y"
    facts = {"steps": 20, "message": "name 'y' is not defined", "traceback": traceback}
    *begun, _ = run_test(1, "a = 2\n", None)
    report = run_report(play(*begun, Commit(1, "failed", "error", {}, facts)), 1)
    assert "failed" in report.text().splitlines()[0]
    assert f"error: name 'y' is not defined\n\n{traceback}" in report.text()
    assert report.text().count("not defined") == 1
    assert report.data["facts"] == facts


def test_an_invalid_run_shows_why_wherever_it_is_listed(play: Play, run_test: RunTest) -> None:
    """Status, runs and compare name an invalid test and its reason; its void figures are a fact and no score."""
    *begun, _ = run_test(1, "a = 2\n", None)
    facts = {"message": "it looks ahead", "void_metrics": {"val_loss": 0.01}}
    state = play(*begun, Commit(1, "invalid", "not_causal", {}, facts))
    shown = run_report(state, 1).text()
    assert "invalid" in shown.splitlines()[0]
    assert "not_causal: it looks ahead" in shown
    assert "val_loss: 0.01" in shown
    assert ["1", "invalid", "smoke", "1", "not_causal"] in [
        line.split() for line in status_report(state).text().splitlines()
    ]
    assert "invalid (not_causal)" in compare_report(state, 1, 1).text()
    assert status_report(state).data["tests"][0]["metrics"] == {}
    assert next_commands(state)[0] == "linbench test"


def test_refunded_run_shows_what_the_machine_did(play: Play, run_test: RunTest) -> None:
    """A refund names the fault."""
    state = play(*run_test(1, "a = 2\n", None)[:2], Refund(1, "disk full", "0 bytes were free", resumable=False))
    assert "disk full: 0 bytes were free" in run_report(state, 1).text()


def test_unknown_test_names_those_that_there_are(play: Play, run_test: RunTest) -> None:
    """A wrong number is answered with the right ones and the command that shows the nearest."""
    with pytest.raises(UsageError, match=r"There is no test 7\. There are: 1\.") as caught:
        run_report(play(*run_test(1, "a = 2\n", SCORES)), 7)
    assert caught.value.run == "linbench runs 1"
    with pytest.raises(UsageError, match="nothing was tested yet") as caught:
        run_report(play(), 1)
    assert caught.value.run == "linbench test"
