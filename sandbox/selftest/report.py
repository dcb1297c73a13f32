"""The reply of `linbench selftest`: a table of who had to stop each attempt and who did, and what got through."""

from collections.abc import Sequence

import msgspec

from sandbox.errors import MachineFault
from sandbox.report import Block, Facts, Heading, Paragraph, Report, Table
from sandbox.selftest.verdict import Verdict

LONGEST = 300
"""Characters of what is said of an attempt that was not stopped as it must be."""


def report(verdicts: Sequence[Verdict], isolation: str, changed: Sequence[str]) -> Report:
    """The table, with the reason below it for each attempt that was not stopped by its layer.

    Raises MachineFault with the same where there is such a one, or where a run changed something else of this machine.
    """
    wrong = [verdict for verdict in verdicts if not verdict.passed]
    honest = sum(verdict.expected == "nothing" for verdict in verdicts)
    blocks: list[Block] = [
        Table(("attempt", "must be stopped by", "stopped by", "seconds"), tuple(map(_row, verdicts)), _RIGHT)
    ]
    if wrong:
        blocks.append(Facts(tuple((verdict.name, _short(verdict.said)) for verdict in wrong)))
    if changed:
        blocks.append(Paragraph(f"Changed elsewhere: {', '.join(changed[:10])}."))
    attempts = len(verdicts) - honest
    if wrong or changed:
        through = f"{len(wrong)} of {len(verdicts)} attempts did not end where they must"
        table = Report({}, tuple(blocks)).text().rstrip("\n")
        raise MachineFault(
            f"{through}, with isolation {isolation}; scores of this machine are not to be believed.\n\n{table}",
            run=f"linbench selftest --only {wrong[0].name}" if wrong else "linbench selftest",
        )
    data = {"isolation": isolation, "attempts": [_facts(verdict) for verdict in verdicts]}
    said = f"OK: {attempts} attempt(s) were stopped, each by its layer, and {honest} honest edit(s) passed them all."
    return Report(data, (Heading(said), *blocks, Facts((("isolation", isolation),))))


_RIGHT = frozenset({"seconds"})


def _row(verdict: Verdict) -> tuple[str, ...]:
    return (verdict.name, verdict.expected, verdict.stopped_by or "NOT STOPPED", f"{verdict.seconds:.1f}")


def _facts(verdict: Verdict) -> dict[str, object]:
    return {**msgspec.to_builtins(verdict), "passed": verdict.passed}


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
