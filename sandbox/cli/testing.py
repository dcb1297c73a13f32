"""`linbench check`, `test`, `submit` and `verify`: running the script, and making a run final."""

from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.cli.options import JsonOption, ProfileOption, SessionOption, SetOption, find_session, open_session
from sandbox.cli.reply import reply
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from sandbox.conditions import Conditions
    from sandbox.state import SessionState


def _conditions(state: "SessionState", profile: str | None, settings: list[str] | None) -> "Conditions":
    from sandbox.conditions import conditions, parse_settings

    name = profile or state.start.profile
    return conditions(state.task.task, name, state.start.seed, parse_settings(settings or []))


def check(
    profile: ProfileOption = None,
    session: SessionOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Free: guards, then build, train one step, reload and score a tiny model in a child process."""
    from sandbox.adoption import adopt
    from sandbox.check_report import check_report
    from sandbox.trial import check as run_check

    found = open_session(session)
    state = adopt(found)
    reply(check_report(state, run_check(found, state, _conditions(state, profile, settings))), as_json)


def try_out(
    profile: ProfileOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted test, at no cost.")] = False,
    session: SessionOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check, train and score the script; spends one test of the budget."""
    from sandbox.runs import run_report_of
    from sandbox.trial import resume_test, run_test

    found = open_session(session)
    if resume:
        if profile or settings:
            raise UsageError("A resumed test keeps its profile and settings.", run="linbench test --resume")
        done = resume_test(found)
    else:
        done = run_test(found, _conditions(found.read(), profile, settings))
    reply(run_report_of(found, done.number, with_next=True), as_json)


def submit(
    test: Annotated[int | None, typer.Argument(help="Number of the test to make final.")] = None,
    session: SessionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a test final: writes the leaderboard row and closes the session."""
    from sandbox.results import leaderboard_of
    from sandbox.submission import submit as make_final

    state, changed = make_final(find_session(session, or_closed=True), test)
    if not changed:
        typer.echo(f"linbench: test {test} was submitted before; nothing was changed.", err=True)
    reply(leaderboard_of(state.task.task.id, submitted=state), as_json)


def verify(session: SessionOption = None, as_json: JsonOption = False) -> None:
    """Check the ledger's chain and the submitted source, and score the submitted checkpoint again."""
    from sandbox.verification import verify_session

    reply(verify_session(find_session(session, or_closed=True)), as_json)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(check)
    app.command("test")(try_out)
    app.command()(submit)
    app.command()(verify)
