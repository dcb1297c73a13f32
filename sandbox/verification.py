"""`linbench verify`: take every hash of a result again, score its checkpoint again, and say line by line what holds."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from harness.files import IrregularFile, is_regular, read_regular
from harness.metrics import metric_name
from harness.run_folder import RunFolder
from sandbox.conditions import conditions_of, open_data
from sandbox.errors import MachineFault, RunFailed
from sandbox.figures import best_test, number
from sandbox.outcome import sha256_of
from sandbox.receipts import environment_difference, harness_difference
from sandbox.report import Facts, Heading, Report
from sandbox.rescoring import rescore
from sandbox.session import Session
from sandbox.state import SeedState, SessionState, TestState

MOST_RESULT_BYTES = 2**24
"""Of a result.json, which lies where the agent's code could write."""

TOLERANCE = {"cpu": 1e-4, "cuda": 5e-3}
"""Nats a token by which two scorings of one checkpoint may differ: kernels may choose another order of sums."""


class Finding(NamedTuple):
    """One line of the reply."""

    what: str
    verdict: Literal["holds", "differs", "recorded", "not recorded"]
    detail: str
    fault: Literal["none", "session", "machine"] = "none"
    """Whose it is that the line does not hold; "none" also for another harness or environment, which only explains."""


def verify_session(session: Session) -> Report:
    """Check the chain, then all that the result of the submitted test, else of the best one, was made of.

    Raises LedgerDamaged for a broken chain, RunFailed where a file or the score is not the recorded one, MachineFault
    where this machine lacks what the result was made of.
    """
    state = session.read()
    findings = [Finding("ledger", "holds", f"{state.seq} events, each follows the one before")]
    test = _tested(state)
    if test is None:
        findings.append(Finding("score", "not recorded", "no test is done yet"))
    else:
        findings += _verify_test(session, state, test)
    lines = tuple((finding.what, f"{finding.verdict}: {finding.detail}") for finding in findings)
    _raise_what_fails(state, test, findings, lines)
    verified = {finding.what: {"verdict": finding.verdict, "detail": finding.detail} for finding in findings}
    data = {"session": state.start.session, "events": state.seq, "verified": verified}
    return Report(data, (Heading(f"OK: session {state.start.session} is what its ledger says."), Facts(lines)))


def _tested(state: SessionState) -> TestState | None:
    """The submitted test, else the one to submit, else the last that is done."""
    if state.submitted is not None:
        return state.tests[state.submitted]
    done = [test for test in state.tests.values() if test.status == "done"]
    return best_test(state) or (done[-1] if done else None)


def _raise_what_fails(
    state: SessionState, test: TestState | None, findings: list[Finding], lines: tuple[tuple[str, str], ...]
) -> None:
    faults = {finding.fault for finding in findings} - {"none"}
    if not faults:
        return
    assert test is not None
    table = Report({}, (Facts(lines),)).text().rstrip("\n")
    run = f"linbench runs {test.number} --session {state.start.session}"
    if "session" in faults:
        raise RunFailed(f"session {state.start.session} is not what its ledger says.\n\n{table}", run=run)
    raise MachineFault(f"session {state.start.session} cannot be verified on this machine.\n\n{table}", run=run)


def _verify_test(session: Session, state: SessionState, test: TestState) -> list[Finding]:
    facts = test.facts or {}
    folders = {seed: session.folder.run(test.number, test.all_seeds, seed) for seed in test.all_seeds}
    for folder in folders.values():
        if not is_regular(folder.source) or not is_regular(folder.checkpoint):
            run = f"linbench runs {test.number}"
            raise MachineFault(f"{folder.root} has lost its source or its checkpoint.", run=run)
    template = hashlib.sha256(state.task.template.encode()).hexdigest()
    findings = [
        _hash("template", template, facts.get("template_sha256")),
        _result(session.folder.test(test.number).result, test),
        _explained("harness", harness_difference(facts) if "harness_sha256" in facts else None, facts),
        _explained("environment", _environment(test, facts), facts),
        _isolation(facts),
        _hash("data", open_data(conditions_of(test)).sha256, facts.get("data_sha256"), "machine"),
    ]
    for seed, folder in folders.items():
        findings += _verify_files(test, seed, folder)
    if all(finding.fault == "none" for finding in findings):  # what is not the tested model is not run
        for seed in test.all_seeds:
            findings += _score(session, test, seed)
    return findings


def _of(test: TestState, seed: int) -> str:
    """What a line's name ends in where a test has several seeds."""
    return f", seed {seed}" if test.seeds else ""


def _seed_state(test: TestState, seed: int) -> SeedState:
    """What a seed came to: the test itself where it has one."""
    return test.by_seed[seed] if test.seeds else SeedState(test.metrics or {}, test.facts or {})


def _verify_files(test: TestState, seed: int, folder: RunFolder) -> list[Finding]:
    checkpoint = _seed_state(test, seed).facts.get("checkpoint_sha256")
    return [
        _hash(f"source{_of(test, seed)}", sha256_of(folder.source), test.source_sha256),
        _hash(f"checkpoint{_of(test, seed)}", sha256_of(folder.checkpoint), checkpoint),
    ]


def _hash(what: str, found: str, recorded: str | None, fault: Literal["session", "machine"] = "session") -> Finding:
    if recorded is None:
        return Finding(what, "not recorded", f"sha256 {found} here")
    if found == recorded:
        return Finding(what, "holds", f"sha256 {found}")
    return Finding(what, "differs", f"sha256 {found} here, {recorded} in the ledger", fault)


def _explained(what: str, difference: str | None, facts: dict[str, Any]) -> Finding:
    """A line on what may explain another score, and is no fault of the session."""
    recorded = facts.get(f"{what}_sha256")
    if recorded is None:
        return Finding(what, "not recorded", "the result is of an earlier version of linbench")
    if difference is None:
        return Finding(what, "holds", f"sha256 {recorded}")
    return Finding(what, "differs", difference)


def _environment(test: TestState, facts: dict[str, Any]) -> str | None:
    return environment_difference(facts, test.config["device"]) if "environment_sha256" in facts else None


def _isolation(facts: dict[str, Any]) -> Finding:
    if "isolation" not in facts:
        return Finding("isolation", "not recorded", "how the agent's code was kept apart is not known")
    return Finding("isolation", "recorded", str(facts["isolation"]))


def _result(file: Path, test: TestState) -> Finding:
    """Whether result.json says what the ledger says; metrics that were measured later are in the ledger alone."""
    try:
        found = msgspec.json.decode(read_regular(file, MOST_RESULT_BYTES), type=dict[str, Any])
        seeds = msgspec.convert(found.get("by_seed", {}), dict[str, dict[str, Any]])
        wrong = _differing(found, SeedState(test.metrics or {}, _stated(test)), test.profile)
        for seed, scored in test.by_seed.items():
            wrong += _differing(seeds.get(str(seed), {}), scored, test.profile)
    except (OSError, IrregularFile, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Finding("result.json", "differs", f"it cannot be read: {error}", "session")
    if wrong:
        named = ", ".join(dict.fromkeys(wrong))
        return Finding("result.json", "differs", f"the ledger has other values of {named}", "session")
    return Finding("result.json", "holds", "it says what the ledger says")


def _stated(test: TestState) -> dict[str, Any]:
    hashes = {"source_sha256": test.source_sha256, "config_sha256": test.config_sha256}
    return {"test": test.number, "status": test.status, **hashes, **(test.facts or {})}


def _differing(found: dict[str, Any], recorded: SeedState, profile: str) -> list[str]:
    """The names of what a result says otherwise than the ledger. Raises ValidationError where it has no metrics."""
    measured = msgspec.convert(found.get("metrics"), dict[str, float])
    metrics = {metric_name(name, profile): value for name, value in recorded.metrics.items()}
    facts = {name: value for name, value in recorded.facts.items() if name != "not_measured"}
    wrong = [name for name, value in facts.items() if found.get(name) != value]
    return [*wrong, *(name for name, value in measured.items() if metrics.get(name) != value)]


def _score(session: Session, test: TestState, seed: int) -> Iterator[Finding]:
    found, which = _seed_state(test, seed), _of(test, seed)
    recorded, facts = found.metrics["val_loss"], found.facts
    report = rescore(session, test, ("val_loss",), f"linbench verify {session.name}", seed)
    if "validation_sha256" in facts:
        yield _hash(f"validation tokens{which}", report.tokens_sha256, facts["validation_sha256"], "machine")
    again, allowed = report.metrics["val_loss"], TOLERANCE[test.config["device"]]
    detail = f"{number(again)} again, {number(recorded)} in the ledger; they may differ by {allowed:g}"
    holds = abs(again - recorded) <= allowed  # nan is no agreement
    what = f"val_loss{which}"
    yield Finding(what, "holds", detail) if holds else Finding(what, "differs", detail, "session")
