"""`linbench tasks` and `linbench start`."""

import shlex
from typing import Annotated

import typer

from sandbox.cli.options import DEFAULT_TASK, JsonOption, ProfileOption, SeedsOption, create_session
from sandbox.cli.reply import reply, reply_text


def tasks(
    task: Annotated[str | None, typer.Argument(help="Id or folder.")] = None, as_json: JsonOption = False
) -> None:
    """List the tasks, or show one: description, regions, interface, metrics, budget, published results."""
    from sandbox.task_report import task_report, tasks_report
    from sandbox.tasks import list_tasks, load_task

    if task is None:
        reply(tasks_report([load_task(name) for name in list_tasks()]), as_json)
    else:
        reply(task_report(load_task(task)), as_json)


def start(
    task: Annotated[str, typer.Argument(help="Id of a task, or the path of a task folder.")] = DEFAULT_TASK,
    agent: Annotated[str | None, typer.Option(help="Name on the leaderboard; else LINBENCH_AGENT.")] = None,
    mode: Annotated[
        str, typer.Option(help="agent: choose among the tests. vanilla: one test, and it is final.")
    ] = "agent",
    profile: ProfileOption = None,
    tests: Annotated[int | None, typer.Option(help="Budget of tests; else the task's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the tests; else the task's.")] = None,
    seeds: SeedsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a session."""
    from sandbox.document import format_ranges
    from sandbox.figures import seed_words

    session = create_session(task, agent=agent, mode=mode, profile=profile, tests=tests, seed=seed, seeds=seeds)
    state = session.read()
    path = session.folder.workspace(state.frame.file)
    shown = state.task.task.id if task == state.task.task.id else task
    commands = [
        f"linbench tasks {shlex.quote(shown)}",
        "linbench show",
        f"linbench edit --range {state.document.ranges[0].option}",
    ]
    following = "\n      ".join(commands)
    text = (
        f"OK: opened session {session.name} on {state.task.task.id}: {state.start.tests} test(s), "
        f"profile {state.start.profile}, {seed_words(state.start.all_seeds)}.\n"
        f"Script: {path}\n"
        f"Editable range: {format_ranges(state.document.ranges)}.\n\n"
        f"next: {following}"
    )
    data = {"session": session.name, "task": state.task.task.id, "script": str(path), "tests": state.start.tests}
    size = {"profile": state.start.profile, "seed": state.start.seed, "seeds": list(state.start.all_seeds)}
    reply_text(text, {**data, **size, "next": commands}, as_json)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(tasks)
    app.command()(start)
