"""Which session a command is about: the one named, else the one in LINBENCH_SESSION, else the newest that is open."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from sandbox.errors import UsageError, nearest
from sandbox.locks import cannot_write, hold
from sandbox.paths import SessionFolder
from sandbox.session import Session

SESSION_VARIABLE = "LINBENCH_SESSION"
_NAME = re.compile(r"(\d{8}-\d{6})-.*([0-9a-f]{4})")
_SUBMISSION = re.compile(rb'\{"seq":\d+,"time":"[^"]*","event":\{"type":"submit"')
_TAIL_BYTES = 64 * 1024
_LISTED = 20


def list_sessions(runs: Path) -> list[Session]:
    """Every session under `runs`, newest first. Raises MachineFault when `runs` cannot be read."""
    try:
        folders = [entry for entry in runs.iterdir() if not entry.name.startswith(".")] if runs.is_dir() else []
    except OSError as error:
        raise cannot_write(runs, error) from error
    sessions = [Session(SessionFolder(folder)) for folder in folders if (folder / "ledger.jsonl").is_file()]
    return sorted(sessions, key=_began, reverse=True)


def find(name: str | None, runs: Path, *, or_closed: bool = False) -> Session:
    """The session called `name` (or beginning so), else that of LINBENCH_SESSION, else the newest open one.

    With `or_closed`, the newest of all when none is open. Raises UsageError when there is none.
    """
    session = _named(name, runs) or _newest(runs, or_closed)
    if session is not None:
        return session
    closed = "; all sessions there are closed" if list_sessions(runs) else ""
    raise UsageError(f"There is no open session in {runs}{closed}.", run="linbench start")


def find_or_create(name: str | None, runs: Path, create: Callable[[], Session]) -> tuple[Session, bool]:
    """As `find`, but where no session is open, the one that `create` makes; returns whether it was made.

    Of several first commands at the same time, one creates the session and all use it.
    """
    session = _named(name, runs) or _newest(runs)
    if session is not None:
        return session, False
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(runs, error) from error
    with hold(runs / ".lock", f"the folder {runs}"):
        session = _newest(runs)
        return (session, False) if session is not None else (create(), True)


def _named(name: str | None, runs: Path) -> Session | None:
    where = "--session" if name else SESSION_VARIABLE
    wanted = name or os.environ.get(SESSION_VARIABLE)
    if not wanted:
        return None
    sessions = {session.name: session for session in list_sessions(runs)}
    if wanted in sessions:
        return sessions[wanted]
    matching = [found for found in sessions if found.startswith(wanted)]
    if len(matching) == 1:
        return sessions[matching[0]]
    if matching:
        raise UsageError(
            f"{where} {wanted!r} fits several sessions: {', '.join(matching)}. Give more of the name.",
            run=f"linbench status --session {matching[0]}",
        )
    raise UsageError(
        f"{where}: no session {wanted!r} in {runs}. {nearest(wanted, list(sessions)[:_LISTED])}",
        run=f"linbench status --session {next(iter(sessions))}" if sessions else "linbench start",
    )


def _newest(runs: Path, or_closed: bool = False) -> Session | None:
    sessions = list_sessions(runs)
    return next((s for s in sessions if not _is_closed(s)), sessions[0] if sessions and or_closed else None)


def _began(session: Session) -> tuple[str, str]:
    """When the session began, from its name; folders with other names count as the oldest."""
    match = _NAME.fullmatch(session.name)
    return (match[1], match[2]) if match else ("", session.name)


def _is_closed(session: Session) -> bool:
    """Whether the ledger ends with a submission, by its last bytes: whoever opens the session checks it all."""
    with session.folder.ledger.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = file.read().rsplit(b"\n", 2)
    return len(lines) > 1 and _SUBMISSION.match(lines[-2]) is not None
