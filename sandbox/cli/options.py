"""Options that several commands share, and how they find their session."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from sandbox.errors import LinbenchError

if TYPE_CHECKING:
    from sandbox.document import Document
    from sandbox.session import Session

SessionOption = Annotated[
    str | None,
    typer.Option("--session", help="Session name, or its beginning; else LINBENCH_SESSION, else the newest open one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Reply with one JSON object.")]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="Size of the run; `linbench tasks ID` lists those that the task allows.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE of the run config, by the operator; such runs are ranked apart."),
]
IsolationOption = Annotated[
    str | None,
    typer.Option(
        "--isolation", help="bubblewrap, landlock or none; else LINBENCH_ISOLATION, else the strongest that works here."
    ),
]
SeedsOption = Annotated[
    str | None,
    typer.Option("--seeds", help="Several, as 42,43: a test trains each, and its result is their mean."),
]

DEFAULT_TASK = "llm-pretrain-linear-attention"


def find_session(name: str | None, *, or_closed: bool = False) -> "Session":
    """The session that a command is about. Raises UsageError when there is none."""
    from sandbox.discovery import find
    from sandbox.paths import runs_dir

    session = find(name, runs_dir(), or_closed=or_closed)
    _say_which(session, name)
    return session


def _say_which(session: "Session", name: str | None) -> None:
    """Where newer ones are closed, name the session: a blind repetition would go on in it unawares."""
    from sandbox.discovery import SESSION_VARIABLE, list_sessions
    from sandbox.paths import runs_dir

    if name or os.environ.get(SESSION_VARIABLE):
        return
    newest = list_sessions(runs_dir())[0]
    if newest.name != session.name:
        typer.echo(f"linbench: session {session.name} is meant; {newest.name}, which is newer, is closed.", err=True)


def open_session(name: str | None) -> "Session":
    """As find_session; where no session is open, a new one on the default task, which is said on stderr."""
    from sandbox.discovery import find_or_create
    from sandbox.paths import runs_dir

    session, created = find_or_create(name, runs_dir(), lambda: create_session(DEFAULT_TASK))
    if created:
        typer.echo(f"linbench: opened session {session.name} on the task {DEFAULT_TASK}.", err=True)
    else:
        _say_which(session, name)
    return session


def create_session(
    task: str,
    *,
    agent: str | None = None,
    mode: str = "agent",
    kind: str | None = None,
    profile: str | None = None,
    tests: int | None = None,
    seed: int | None = None,
    seeds: str | None = None,
) -> "Session":
    """Open a session, its blanks filled with the task's defaults. Raises UsageError for what does not exist."""
    from sandbox.conditions import check_profile, default_profile
    from sandbox.errors import UsageError
    from sandbox.paths import runs_dir
    from sandbox.seeds import chosen_seeds
    from sandbox.session import Session
    from sandbox.tasks import load_task

    loaded = load_task(task)
    if mode not in ("agent", "vanilla"):
        raise UsageError(f"no mode {mode!r}. There are: agent, vanilla.", run="linbench start --mode agent")
    chosen = profile or default_profile(loaded.task)
    check_profile(loaded.task, chosen, f"start {shlex.quote(task)}")
    return Session.create(
        loaded,
        agent=_agent(agent),
        mode=mode,  # type: ignore[arg-type]
        kind=kind or mode,  # type: ignore[arg-type]
        profile=chosen,
        tests=tests,
        seeds=chosen_seeds(loaded.task, mode, seed, seeds),
        runs=runs_dir(),
    )


def _agent(asked: str | None) -> str:
    """The agent's name. Raises UsageError for one that a line of a table cannot show."""
    from sandbox.errors import UsageError

    name = asked or os.environ.get("LINBENCH_AGENT") or "anonymous"
    where = "--agent" if asked else "LINBENCH_AGENT"
    if not name.isprintable() or not name.strip():
        raise UsageError(
            f"{where} {name!r} is no name: every character must be printable, and one must not be blank.",
            run="linbench start --agent NAME",
        )
    return name


@contextmanager
def showing(document: "Document") -> Iterator[None]:
    """An error inside shows the script as it stands, below what is wrong."""
    try:
        yield
    except LinbenchError as error:
        from sandbox.view import render_regions

        error.view = render_regions(document)
        raise
