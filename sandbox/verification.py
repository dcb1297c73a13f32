"""`linbench verify`: does the ledger hold, are source and checkpoint those of the run, do they score the same?"""

from pathlib import Path

from sandbox.errors import MachineFault, RunFailed
from sandbox.figures import best_test, number
from sandbox.outcome import sha256_of
from sandbox.report import Facts, Heading, Report
from sandbox.rescoring import rescore
from sandbox.session import Session
from sandbox.state import SessionState, TestState

TOLERANCE = {"cpu": 1e-4, "cuda": 5e-3}
"""Nats a token by which two scorings of one checkpoint may differ: kernels may choose another order of sums."""


def verify_session(session: Session) -> Report:
    """Check the chain, then the submitted test's (else the best test's) source, checkpoint and score.

    Raises LedgerDamaged for a broken chain, RunFailed for a source, checkpoint or score that is not the recorded one.
    """
    state = session.read()
    facts = [("ledger", f"{state.seq} events, the chain holds")]
    test = state.tests[state.submitted] if state.submitted is not None else best_test(state)
    if test is None:
        facts.append(("score", "no test is done yet"))
    else:
        facts += _verify_test(session, state, test)
    data = {"session": state.start.session, "events": state.seq, "verified": dict(facts)}
    return Report(data, (Heading(f"OK: session {state.start.session} is what its ledger says."), Facts(tuple(facts))))


def _verify_test(session: Session, state: SessionState, test: TestState) -> list[tuple[str, str]]:
    folder = session.folder.test(test.number)
    if not folder.source.is_file() or not folder.checkpoint.is_file():
        raise MachineFault(f"{folder.root} has lost its source or its checkpoint.", run=f"linbench runs {test.number}")
    _require_hash(test, "tested source", folder.source, test.source_sha256)
    checkpoint_sha256 = (test.facts or {}).get("checkpoint_sha256")
    if checkpoint_sha256 is not None:  # a change may leave the score as it was
        _require_hash(test, "scored checkpoint", folder.checkpoint, checkpoint_sha256)
    recorded = (test.metrics or {})["val_loss"]
    again = rescore(session, test, ("val_loss",), "linbench verify").metrics["val_loss"]
    allowed = TOLERANCE[test.config["device"]]
    if not abs(again - recorded) <= allowed:  # nan is no agreement
        raise RunFailed(
            f"Test {test.number} scores {number(again)} again, but the ledger says {number(recorded)} "
            f"(they may differ by {allowed:g}).",
            run=f"linbench runs {test.number}",
        )
    return [
        ("source", f"test {test.number}, sha256 {test.source_sha256}"),
        ("checkpoint", f"sha256 {checkpoint_sha256}" if checkpoint_sha256 else "its hash was not recorded"),
        ("val_loss", f"{number(again)} again, {number(recorded)} recorded, within {allowed:g}"),
    ]


def _require_hash(test: TestState, what: str, file: Path, recorded: str) -> None:
    found = sha256_of(file)
    if found != recorded:
        raise RunFailed(
            f"{file} is not the {what}: its sha256 is {found}, the ledger says {recorded}.",
            run=f"linbench runs {test.number}",
        )
