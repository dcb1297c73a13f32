"""Reports on tests that need files of their folders: the loss curve, the agent's traceback."""

from harness.metrics import read_evaluations
from sandbox.report import Block, Facts, Heading, Paragraph, Report
from sandbox.session import Session
from sandbox.state import SessionState
from sandbox.summary import describe_test, next_commands, run_report, table_of_tests


def run_report_of(session: Session, number: int, *, with_next: bool = False) -> Report:
    """One test in full. Raises UsageError for a test that there is not."""
    state = session.read()
    curve = read_evaluations(session.folder.test(number).metrics) if number in state.tests else []
    report = run_report(state, number, curve)
    if not with_next:
        return report
    commands = next_commands(state)
    steps = Facts(tuple(("next" if index == 0 else "", line) for index, line in enumerate(commands)))
    left = Paragraph(f"{state.budget_left} of {state.start.tests} test(s) left.")
    return Report({**report.data, "next": commands, "tests_left": state.budget_left}, (*report.blocks, left, steps))


def runs_report(state: SessionState) -> Report:
    """All tests of a session, one line each."""
    blocks: list[Block] = [Heading(f"Tests of {state.start.session}")]
    if state.tests:
        blocks.append(table_of_tests(state))
    else:
        blocks += [Paragraph("Nothing was tested yet."), Facts((("next", "linbench test"),))]
    tests = [describe_test(state, test) for test in state.tests.values()]
    return Report({"session": state.start.session, "tests": tests}, tuple(blocks))
