"""`linbench check`, `test`, `submit`, `verify`, `score` and `sample`: running the script, and making a run final."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.cli.options import (
    IsolationOption,
    JsonOption,
    ProfileOption,
    SessionOption,
    SetOption,
    find_session,
    open_session,
)
from sandbox.cli.reply import reply
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from harness.stages import Placement
    from sandbox.conditions import Conditions
    from sandbox.state import SessionState


def _conditions(
    state: "SessionState",
    profile: str | None,
    settings: list[str] | None,
    isolation: str | None,
    asked: "Placement | None" = None,
    command: str = "test",
) -> "Conditions":
    from sandbox.conditions import conditions, parse_settings

    name = profile or state.start.profile
    overridden = parse_settings(settings or [], command)
    return conditions(state.task.task, name, state.start.seed, overridden, asked, isolation, command)


def check(
    profile: ProfileOption = None,
    session: SessionOption = None,
    settings: SetOption = None,
    isolation: IsolationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Free: guards, then build, train one step, reload and score a tiny model in a child process."""
    from sandbox.adoption import adopt
    from sandbox.check_report import check_report
    from sandbox.trial import check as run_check

    found = open_session(session)
    state = adopt(found)
    asked = _conditions(state, profile, settings, isolation, command="check")
    reply(check_report(state, run_check(found, state, asked)), as_json)


def try_out(
    profile: ProfileOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted test, at no cost.")] = False,
    gpus: Annotated[
        int | None, typer.Option(min=1, help="GPUs of this machine; else as many as the profile uses.")
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Machines that share the run, each with as many GPUs.")] = 1,
    endpoint: Annotated[str | None, typer.Option("--rdzv-endpoint", help="HOST:PORT where machines meet.")] = None,
    session: SessionOption = None,
    settings: SetOption = None,
    isolation: IsolationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check, train and score the script; spends one test of the budget."""
    from harness.machine import gpu_names
    from harness.stages import Placement
    from sandbox.runs import run_report_of
    from sandbox.trial import resume_test, run_test

    found = find_session(session) if resume else open_session(session)
    if resume:
        if profile or settings or isolation or gpus or nodes > 1:
            raise UsageError(
                "A resumed test keeps its profile, settings, isolation and GPUs.", run="linbench test --resume"
            )
        done = resume_test(found, endpoint)
    else:
        asked = None if gpus is None and nodes == 1 else Placement(gpus or len(gpu_names()) or 1, nodes, endpoint)
        done = run_test(found, _conditions(found.read(), profile, settings, isolation, asked))
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


def verify(
    name: Annotated[str | None, typer.Argument(metavar="SESSION", help="As --session.")] = None,
    session: SessionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take every hash of the final (else the best) test again, score its checkpoint again, and say what holds."""
    from sandbox.verification import verify_session

    if name and session:
        raise UsageError("Give the session once.", run=f"linbench verify {shlex.quote(name)}")
    reply(verify_session(find_session(name or session, or_closed=True)), as_json)


TestNumber = Annotated[int, typer.Argument(help="Number of a finished test.")]


def score(test: TestNumber, session: SessionOption = None, as_json: JsonOption = False) -> None:
    """Measure again what a finished test's scoring could not, without training and without touching the budget."""
    from sandbox.runs import run_report_of
    from sandbox.submission import score_again
    from sandbox.summary import find_test

    found = find_session(session)
    _, errors = score_again(found, test, find_test(found.read(), test))
    for name, why in errors.items():
        typer.echo(f"linbench: {name} could not be measured: {why}", err=True)
    reply(run_report_of(found, test), as_json)


def sample(
    test: TestNumber,
    prompt: Annotated[str, typer.Option(help="How the text begins.")] = "",
    samples: Annotated[int, typer.Option(min=1, max=64, help="How many texts.")] = 1,
    tokens: Annotated[int, typer.Option(min=1, max=4096, help="Length of each, in tokens.")] = 200,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest token.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    session: SessionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a test's checkpoint write text."""
    from sandbox.report import Code, Heading, Report
    from sandbox.rescoring import sample as draw
    from sandbox.summary import find_test

    found = find_session(session, or_closed=True)
    tested = find_test(found.read(), test)
    drawn = draw(found, tested, prompt=prompt, samples=samples, tokens=tokens, temperature=temperature, seed=seed)
    head = Heading(f"Test {test} at step {drawn.step:,}")
    texts = tuple(Code(f"{prompt}{text}") for text in drawn.texts)
    reply(
        Report({"test": test, "step": drawn.step, "prompt": prompt, "texts": list(drawn.texts)}, (head, *texts)),
        as_json,
    )


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(check)
    app.command("test")(try_out)
    app.command()(submit)
    app.command()(verify)
    app.command()(score)
    app.command()(sample)
