"""`linbench mechanisms` and `linbench baseline`: what is known, to stand on and to compare with."""

import shlex
from typing import Annotated

import typer

from sandbox.cli.options import IsolationOption, JsonOption, ProfileOption, SeedsOption, SetOption, create_session
from sandbox.cli.reply import reply


def mechanisms(
    key: Annotated[str | None, typer.Argument(help="Print this one.")] = None,
    profile: Annotated[str, typer.Option(help="Count parameters at this size.")] = "gpt-345m",
    as_json: JsonOption = False,
) -> None:
    """List the drop-in mechanisms with parameters, cost, state and paper; or print one."""
    from sandbox.conditions import known_profile
    from sandbox.mechanism_report import mechanism_report, mechanisms_report
    from sandbox.mechanisms import find_mechanism
    from sandbox.paths import templates_dir

    if key is None:
        reply(mechanisms_report(known_profile(profile).name), as_json)
    else:
        reply(mechanism_report(find_mechanism(key, templates_dir())), as_json)


def baseline(
    name: Annotated[str, typer.Argument(help="Such as retnet, deltanet, gla; untied, value_embed, bigram_hash.")],
    profile: ProfileOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the test; else the task's.")] = None,
    seeds: SeedsOption = None,
    settings: SetOption = None,
    isolation: IsolationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a known mechanism as a baseline: start, edit, check, test, submit."""
    from sandbox.baseline import find_task_of, run_baseline
    from sandbox.conditions import check_profile, conditions, default_profile, open_data, parse_settings
    from sandbox.results import leaderboard_of
    from sandbox.seeds import chosen_seeds

    command = f"baseline {shlex.quote(name)}"
    loaded, file = find_task_of(name)
    overridden = parse_settings(settings or [], command)
    task = loaded.task
    size = check_profile(task, profile or default_profile(task), command).name
    first = chosen_seeds(task, "agent", seed, seeds)[0]
    planned = conditions(task, size, first, overridden, isolation=isolation, command=command)
    open_data(planned)  # what cannot run leaves no open session behind, which later commands would use
    session = create_session(
        loaded.task.id, agent=name, kind="baseline", profile=profile, tests=1, seed=seed, seeds=seeds
    )
    typer.echo(f"linbench: opened session {session.name} on the task {loaded.task.id}.", err=True)
    state = run_baseline(
        session, file, overridden, planned.isolation, lambda line: typer.echo(f"linbench: {line}", err=True)
    )
    reply(leaderboard_of(loaded.task.id, submitted=state), as_json)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(mechanisms)
    app.command()(baseline)
