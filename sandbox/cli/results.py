"""`linbench status`, `runs`, `compare` and `leaderboard`: what came of it so far."""

import sys
from typing import Annotated

import typer

from sandbox.cli.options import DEFAULT_TASK, JsonOption, SessionOption, find_session
from sandbox.cli.reply import reply
from sandbox.errors import UsageError


def status(session: SessionOption = None, as_json: JsonOption = False) -> None:
    """Budget, script, tests so far, and what to run next."""
    from sandbox.locks import holder
    from sandbox.summary import status_report

    found = find_session(session, or_closed=True)
    state = found.read()
    running = holder(found.folder.test(state.open_test.number).lock) if state.open_test else None
    reply(status_report(state, running), as_json)


def runs(
    test: Annotated[int | None, typer.Argument(help="Number of a test.")] = None,
    session: SessionOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the session's tests, or show one with its loss curve."""
    from sandbox.runs import run_report_of, runs_report

    found = find_session(session, or_closed=True)
    reply(runs_report(found.read()) if test is None else run_report_of(found, test), as_json)


def compare(
    first: Annotated[int, typer.Argument(help="Number of a test.")],
    second: Annotated[int, typer.Argument(help="Number of another test.")],
    session: SessionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put two tests side by side, with the difference of their regions."""
    from sandbox.comparison import compare_report

    reply(compare_report(find_session(session, or_closed=True).read(), first, second), as_json)


def leaderboard(
    task: Annotated[str | None, typer.Argument(help="Id of a task; else that of the newest session.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="As comma-separated values.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Rank the submitted runs; published rows, profiles and data sets are kept apart."""
    from sandbox.discovery import list_sessions
    from sandbox.paths import runs_dir
    from sandbox.results import leaderboard_csv_of, leaderboard_of

    if as_csv and as_json:
        raise UsageError("Give --csv or --json, not both.", run="linbench leaderboard --csv")
    if task is None:
        newest = list_sessions(runs_dir())[:1]
        task = newest[0].read().task.task.id if newest else DEFAULT_TASK
    if as_csv:
        sys.stdout.write(leaderboard_csv_of(task))
    else:
        reply(leaderboard_of(task), as_json)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (status, runs, compare, leaderboard):
        app.command()(command)
