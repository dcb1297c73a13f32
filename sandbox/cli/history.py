"""`linbench undo`, `redo`, `reset` and `diff`: the way back, and how far the script has come."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sandbox.cli.editing import describe
from sandbox.cli.options import JsonOption, SessionOption, find_session, showing
from sandbox.cli.reply import reply_text

if TYPE_CHECKING:
    from sandbox.state import SessionState

Steps = Annotated[int, typer.Argument(help="How many changes.")]


def undo(steps: Steps = 1, session: SessionOption = None, as_json: JsonOption = False) -> None:
    """Take back the last N changes."""
    from sandbox.events import Undo

    found = find_session(session)
    with found.transact() as transaction:
        notes = _discard(transaction)
        left = steps - 1 if notes and steps >= 1 else steps
        with showing(transaction.state.document):
            state = transaction.append(Undo(left)) if left or not notes else transaction.state
    _changed(state, state.current.summary if left or not notes else "Undid 1 change(s).", notes, as_json)


def redo(steps: Steps = 1, session: SessionOption = None, as_json: JsonOption = False) -> None:
    """Make the last N undone changes again."""
    from sandbox.events import Redo

    found = find_session(session)
    with found.transact() as transaction:
        notes = _discard(transaction)
        with showing(transaction.state.document):
            state = transaction.append(Redo(steps))
    _changed(state, state.current.summary, notes, as_json)


def reset(session: SessionOption = None, as_json: JsonOption = False) -> None:
    """Go back to the untouched template; `undo` takes this back too."""
    from sandbox.events import Reset

    found = find_session(session)
    with found.transact() as transaction:
        notes = _discard(transaction)
        state = transaction.append(Reset())
    _changed(state, state.current.summary, notes, as_json)


def _discard(transaction: Any) -> list[str]:
    """Put the recorded script back where the agent's own editor left something else, and say where that went."""
    kept = transaction.discard()
    return [f"The change made outside of linbench was moved to {kept}."] if kept is not None else []


def _changed(state: "SessionState", summary: str, notes: list[str], as_json: bool) -> None:
    from sandbox.view import render_success

    text = render_success(state.document, summary, notes)
    reply_text(text, {**describe(state), "summary": summary, "notes": notes}, as_json)


def diff(
    from_: Annotated[int | None, typer.Option("--from", help="Compare with the source of test N.")] = None,
    session: SessionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how the script differs from the template, or from what a test ran."""
    import difflib

    from sandbox.adoption import adopt
    from sandbox.document import split_lines
    from sandbox.summary import find_test

    state = adopt(find_session(session, or_closed=True))
    base, name = state.task.template, "template"
    if from_ is not None:
        base, name = find_test(state, from_).source, f"test {from_}"
    file = state.frame.file
    lines = difflib.unified_diff(split_lines(base), split_lines(state.document.text), f"{name}/{file}", f"now/{file}")
    text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    reply_text(text or f"No difference from the {name}.", {**describe(state), "from": name, "diff": text}, as_json)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (undo, redo, reset, diff):
        app.command()(command)
