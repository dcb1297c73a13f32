"""One attempt from the edit to its end, by the functions behind the commands that an agent would type."""

import builtins
import re
import subprocess
import sys
from dataclasses import dataclass

from harness.stages import MissingReport
from sandbox.editor import edit
from sandbox.errors import (
    BudgetSpent,
    EditRefused,
    LedgerDamaged,
    LinbenchError,
    MachineFault,
    PolicyRefused,
    RunFailed,
)
from sandbox.events import Edit
from sandbox.mechanisms import find_mechanism
from sandbox.operations import Replace
from sandbox.paths import templates_dir
from sandbox.reserved_test import ReservedTest
from sandbox.selftest.attempt import SHELL, TEMPLATE, Attempt
from sandbox.selftest.conditions import conditions_of
from sandbox.session import Session
from sandbox.trial import begin_test, run_test

TRIES = 4
"""How often a test is begun again that the machine is to blame for."""

SECONDS = 60
"""For what an agent runs outside of the sandbox."""

REFUSALS = {
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, OSError | MemoryError)
}
"""The exceptions by which a system refuses something; as the first word of an error, they tell isolation's work."""


@dataclass(frozen=True, slots=True)
class Course:
    """How an attempt went."""

    layer: str | None
    """The layer that ended it; None where it ran to its end."""
    said: str
    """The reply that ended it."""


def go(attempt: Attempt, session: Session, code: str, isolation: str) -> Course:
    """Try it: edit, check, test. An attempt that no edit may pass is not run where one does."""
    try:
        _make_edits(attempt, session, code)
    except PolicyRefused as refused:
        return Course("policy", refused.message)
    except EditRefused as refused:
        return Course("guards", refused.message)
    if attempt.region == SHELL:
        return _in_a_shell(session, code)
    if attempt.only_edits:
        return Course(None, "the edit was accepted")
    return _test(attempt, session, isolation)


def _make_edits(attempt: Attempt, session: Session, code: str) -> None:
    contents = honest_code(session, attempt)
    if attempt.region != SHELL:
        contents[attempt.region] = f"{contents.get(attempt.region, '')}{code}"
    for region, content in contents.items():
        with session.transact() as transaction:
            document, task = transaction.state.document, transaction.state.task.task
            index = document.region_named(region)
            assert index is not None, f"{attempt.name}: no region {region}"
            lines = document.ranges[index]
            made = edit(document, Replace(lines.first, lines.last, content), task.overrides, policy=task.policy)
            transaction.append(Edit(made.summary, made.document.contents, made.whole))


def honest_code(session: Session, attempt: Attempt) -> dict[str, str]:
    """What regions hold before the attempt's code: its own region what the template has, attention a mechanism."""
    if attempt.on is None:
        return {}
    document = session.read().document
    pairs = zip(document.frame.regions, document.contents, strict=True)
    found = {region.name: f"{content}\n\n" for region, content in pairs if region.name == attempt.region}
    if attempt.on == TEMPLATE:
        return found
    mechanism = find_mechanism(attempt.on, templates_dir(), "attention").path.read_text(encoding="utf-8")
    return {**found, "attention": f"{mechanism}\n\n"}


def _in_a_shell(session: Session, code: str) -> Course:
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=session.folder.root, timeout=SECONDS, check=True, capture_output=True)
    try:
        state = Session(session.folder).read()
    except LedgerDamaged as damaged:
        return Course("ledger", damaged.message)
    return Course(None, f"the ledger is taken for whole, with {state.seq} events")


def _test(attempt: Attempt, session: Session, isolation: str) -> Course:
    """Test it, and again where the machine is said to be to blame."""
    for _ in range(TRIES):
        try:
            _test_once(attempt, session, isolation)
        except MachineFault as fault:
            if not isinstance(fault.__cause__, MissingReport) and session.read().refunds:
                continue
            return Course(_layer(session, fault), fault.message)
        except BudgetSpent as spent:
            return Course("ledger", spent.message)
        except (RunFailed, LinbenchError) as failed:
            refunds = session.read().refunds_given
            return Course("ledger" if refunds else _layer(session, failed), failed.message)
        return Course(None, "the test is done")
    return Course(None, f"it was refunded {TRIES} times")


def _test_once(attempt: Attempt, session: Session, isolation: str) -> None:
    state = session.read()
    conditions = conditions_of(state.task, isolation, attempt.seconds)
    if "check" not in attempt.past:
        run_test(session, conditions)
        return
    from sandbox.conditions import open_data

    data = open_data(conditions)
    with begin_test(session, state, conditions) as (number, lock):
        ReservedTest(session, number, conditions, data, lock).to_the_end()


def _layer(session: Session, error: LinbenchError) -> str | None:
    tests = session.read().tests
    if not tests:
        return _layer_of_check(error)
    test = tests[max(tests)]
    facts = test.facts or {}
    message = str(facts.get("message", ""))
    if test.status == "invalid" or test.reason == "irregular_file" or "score_seconds" in facts:
        return f"scoring:{test.reason}"
    if test.reason in ("over_limit", "timeout", "stalled", "out_of_memory") or is_refusal(message):
        return "isolation"
    return f"training:{test.reason}"


def _layer_of_check(error: LinbenchError) -> str | None:
    cause = error.__cause__
    if isinstance(cause, MissingReport):
        return "isolation" if cause.fault.reason in ("over_limit", "timeout", "stalled") else "check"
    found = re.match(r"check failed at '([^']+)': (.*)", error.message)
    if found is None:
        return None
    return "isolation" if is_refusal(found[2]) else f"check:{found[1]}"


def is_refusal(message: str) -> bool:
    """Whether an error, as `Type: message`, is one by which a system refuses something."""
    return message.partition(":")[0].strip() in REFUSALS
