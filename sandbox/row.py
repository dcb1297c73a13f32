"""The leaderboard's row: what a submitted test says of itself. It is made once, and stands in the session's ledger."""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from sandbox.errors import LedgerDamaged
from sandbox.published import Kind
from sandbox.state import SessionState
from sandbox.tasks import LoadedTask


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One submitted test."""

    task: str
    """The task's id."""
    name: str
    """The agent, or the baseline's name."""
    kind: Kind
    metrics: dict[str, float]
    session: str
    test: int
    submitted: str
    """ISO 8601, UTC."""
    profile: str
    seed: int
    data_sha256: str
    """Of the data set that it was trained and scored on."""
    conditions_sha256: str
    """Of the script around the regions, the override keys, the rules, and the run config without its seed."""
    source_sha256: str
    """Of the tested script."""
    by_seed: dict[str, dict[str, float]] = {}
    """The metrics of each seed's run, whose means are `metrics`; empty where there is one seed alone."""
    scoring_version: int = 1
    """Of the harness that scored it: rows of different ones are not compared."""
    harness_sha256: str | None = None
    """Of that harness; None in a row of an earlier version of linbench."""
    isolation: str | None = None
    """What kept the agent's code apart; None where that is not known."""
    warnings: tuple[str, ...] = ()
    """What is allowed in the script, and worth knowing of whoever compares."""
    resumes: int = 0
    """How often the test went on after a stop."""


def make_row(state: SessionState, test: int, submitted: str) -> Row:
    """The leaderboard's row of a finished test, as it goes into the ledger with `msgspec.to_builtins`."""
    from sandbox.policy.warnings import warnings_of

    tested, start = state.tests[test], state.start
    assert tested.metrics is not None, f"test {test} is {tested.status}"
    assert tested.facts is not None, f"test {test} is {tested.status}"
    return Row(
        task=start.task.task.id,
        name=start.agent,
        kind=start.kind,
        metrics=tested.metrics,
        session=start.session,
        test=test,
        submitted=submitted,
        profile=tested.profile,
        seed=tested.seed,
        data_sha256=tested.facts["data_sha256"],
        conditions_sha256=conditions_sha256(start.task, tested.config),
        source_sha256=tested.source_sha256,
        by_seed={str(seed): found.metrics for seed, found in tested.by_seed.items()},
        scoring_version=tested.facts.get("scoring_version", 1),
        harness_sha256=tested.facts.get("harness_sha256"),
        isolation=tested.facts.get("isolation"),
        warnings=warnings_of(state.document_at(tested.revision), start.task.task),
        resumes=tested.resumes,
    )


def conditions_sha256(loaded: LoadedTask, config: dict[str, Any]) -> str:
    """Hash of all that two rows must share: a folder with a task's id but another script does not join its ranking."""
    regions = [(region.first, region.last, region.kind) for region in loaded.task.regions]
    run = {key: value for key, value in config.items() if key != "seed"}
    rules = (loaded.task.constraints, loaded.task.policy)
    conditions = (loaded.template, regions, loaded.task.overrides, rules, run)
    return hashlib.sha256(msgspec.json.encode(conditions, order="sorted")).hexdigest()


def rows_of(states: Iterable[SessionState], task: str) -> list[Row]:
    """The rows of the closed sessions on a task; a run of the very template has none, whatever an older ledger says.

    Raises LedgerDamaged for a row that no submit could have written.
    """
    rows = []
    for state in states:
        if state.start.task.task.id != task or state.submitted is None or state.row is None:
            continue
        untouched = state.tests[state.submitted].source == state.task.template  # comments are looked for at submission
        if state.start.kind == "baseline" or not untouched:
            try:
                rows.append(msgspec.convert(state.row, Row))
            except msgspec.ValidationError as error:
                raise LedgerDamaged(f"Session {state.start.session}: its submitted row is not one: {error}.") from error
    return rows
