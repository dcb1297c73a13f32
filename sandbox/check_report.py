"""What `linbench check` answers when everything passed."""

import msgspec

from harness.preflight.report import Report as PreflightReport
from sandbox.figures import duration
from sandbox.report import Block, Facts, Heading, Paragraph, Report
from sandbox.state import SessionState
from sandbox.summary import next_commands


def check_report(state: SessionState, found: PreflightReport) -> Report:
    """The guards and the preflight's checks, with their figures."""
    guards = ("guards", "parses; frozen code, definitions, names and overrides are in order")
    checks = tuple((check.name, check.detail) for check in found.checks)
    blocks: list[Block] = [
        Heading(f"OK: revision {state.revision} passes in {duration(found.seconds)}. No test was spent."),
        Facts((guards, *checks)),
        *(Paragraph(f"Warning: {warning}.") for warning in found.warnings),
        Facts((("next", "linbench test" if state.budget_left else next_commands(state)[0]),)),
    ]
    data = {"session": state.start.session, "revision": state.revision, **msgspec.to_builtins(found)}
    return Report(data, tuple(blocks))
