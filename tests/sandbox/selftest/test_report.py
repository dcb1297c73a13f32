"""What `linbench selftest` answers."""

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.errors import MachineFault
from sandbox.selftest.report import report
from sandbox.selftest.verdict import Verdict

STOPPED = Verdict("a", "guards", "guards", "no", 0.5)
HONEST = Verdict("b", "nothing", "nothing", "the test is done", 9.0)
THROUGH = Verdict("c", "isolation", None, "a secret is in the reply", 3.0)


def test_all_stopped_is_a_pass() -> None:
    """The table names each with its layer, and honest edits are counted apart."""
    found = report([STOPPED, HONEST], "bubblewrap", [])
    assert "1 attempt(s) were stopped, each by its layer, and 1 honest edit(s) passed" in found.text()
    assert [attempt["passed"] for attempt in found.data["attempts"]] == [True, True]


@pytest.mark.parametrize(
    ("verdicts", "changed", "said"),
    [
        ([STOPPED, THROUGH], [], "c  a secret is in the reply"),
        ([Verdict("d", "policy", "guards", "no")], [], "d        policy              guards"),
        ([STOPPED], ["/home/me/runs/x"], "Changed elsewhere: /home/me/runs/x"),
    ],
)
def test_anything_else_is_a_fault_of_the_machine(verdicts: list[Verdict], changed: list[str], said: str) -> None:
    """An attempt that got through, one that another layer stopped, and a change elsewhere each fail it."""
    with pytest.raises(MachineFault) as caught:
        report(verdicts, "landlock", changed)
    assert said in caught.value.message


def test_one_attempt_can_be_tried_alone(linbench: Callable[..., Any], isolation: str) -> None:
    """--only NAME tries it in a process as all are, answers in JSON, and leaves no session behind."""
    reply = linbench("selftest", "--only", "rewritten_ledger", "--json")
    assert (reply.code, reply.json["isolation"]) == (0, isolation)
    assert [attempt["stopped_by"] for attempt in reply.json["attempts"]] == ["ledger"]
    assert "no attempt 'rewritten_ledge'" in linbench("selftest", "--only", "rewritten_ledge").out


def test_hostile_code_does_not_run_without_a_sandbox(
    linbench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator who works without isolation is not taken by surprise."""
    monkeypatch.setenv("LINBENCH_ISOLATION", "none")
    reply = linbench("selftest")
    assert reply.code == 2
    assert "run only in a sandbox" in reply.out
