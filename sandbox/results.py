"""The leaderboard over all sessions in the runs folder."""

import sys

from sandbox.discovery import list_sessions
from sandbox.errors import LinbenchError, UsageError, nearest
from sandbox.leaderboard import leaderboard_csv, leaderboard_report
from sandbox.paths import runs_dir
from sandbox.report import Heading, Paragraph, Report
from sandbox.row import rows_of
from sandbox.state import SessionState
from sandbox.tasks import LoadedTask, list_tasks, load_task


def leaderboard_of(task: str, submitted: SessionState | None = None) -> Report:
    """The ranking of a task, headed by what was just submitted. Raises UsageError for an unknown task."""
    states = _states()
    loaded = _loaded(task, states)
    report = leaderboard_report(loaded, rows_of(states, loaded.task.id))
    if submitted is None:
        return report
    session, number = submitted.start.session, submitted.submitted
    head = Heading(f"OK: test {number} of {session} is final; the session is closed.")
    after = Paragraph(f"next: linbench verify {session}\n      linbench start")
    ranked = [row for group in report.data["groups"] for row in group["rows"] if row.get("session") == session]
    place = {key: ranked[0][key] for key in ("rank", "normalised", "like_baselines")}
    data = {**report.data, "submitted": {"session": session, "test": number, "row": submitted.row, **place}}
    return Report(data, (head, *report.blocks, after))


def leaderboard_csv_of(task: str) -> str:
    """The same as comma-separated values."""
    states = _states()
    loaded = _loaded(task, states)
    return leaderboard_csv(loaded, rows_of(states, loaded.task.id))


def _states() -> list[SessionState]:
    """Every session that can be read; one whose ledger is damaged is named on stderr and left out."""
    states = []
    for session in list_sessions(runs_dir()):
        try:
            states.append(session.read())
        except LinbenchError as error:
            print(f"linbench: session {session.name} is left out: {error.message}", file=sys.stderr)
    return states


def _loaded(task: str, states: list[SessionState]) -> LoadedTask:
    """The task as it ships, else as a session on it began."""
    if task in list_tasks():
        return load_task(task)
    used = {state.task.task.id: state.task for state in states}
    if task in used:
        return used[task]
    known = sorted({*list_tasks(), *used})
    raise UsageError(f"no task {task!r}. {nearest(task, known)}", run="linbench leaderboard")
