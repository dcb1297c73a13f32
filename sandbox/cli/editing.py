"""`linbench show` and `edit`: reading and changing the script."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sandbox.cli.edit_content import Content, decode, mechanism_file, read_file
from sandbox.cli.options import JsonOption, SessionOption, open_session, showing
from sandbox.cli.reply import reply_text
from sandbox.errors import EditRefused, UsageError, nearest

if TYPE_CHECKING:
    from sandbox.document import Document, LineRange
    from sandbox.operations import Operation
    from sandbox.session import Session
    from sandbox.state import SessionState

_RANGE = re.compile(r"\s*(-?\d+)\s*(?:(?:-|–|\.\.|:|,)\s*(-?\d+))?\s*")


def parse_range(text: str, option: str, document: "Document", command: str = "edit") -> "LineRange":
    """A range as typed: 33-70, 33–70, 33..70 or one line. Raises UsageError for anything else."""
    from sandbox.document import LineRange

    match = _RANGE.fullmatch(text)
    if match is None:
        example = document.ranges[0].option
        raise UsageError(
            f"{option} {text!r} is not a range of lines such as {example}.",
            run=f"linbench {command} {option} {example}",
        )
    return LineRange(int(match[1]), int(match[2] or match[1]))


def show(
    region: Annotated[str | None, typer.Option(help="One region, by name.")] = None,
    range_: Annotated[str | None, typer.Option("--range", help="Lines A-B.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="The whole script.")] = False,
    session: SessionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the script with line numbers, read-only lines marked by `|`; without an option, the editable regions."""
    from sandbox.adoption import adopt
    from sandbox.view import render_head, render_script

    state = adopt(open_session(session))
    document = state.document
    chosen = list(document.ranges)
    if region is not None:
        chosen = [document.ranges[region_index(document, region)]]
    elif range_ is not None:
        chosen = [_inside(parse_range(range_, "--range", document, "show"), document)]
    lines = None if all_ else chosen
    text = f"{render_head(document)}\n{render_script(document, lines)}"
    reply_text(text, {**describe(state), "text": document.text}, as_json)


def _inside(lines: "LineRange", document: "Document") -> "LineRange":
    if lines.last < lines.first or lines.last < 1 or lines.first > document.total:
        raise UsageError(
            f"Lines {lines.first}..{lines.last} are not in the file, which has {document.total} lines.",
            run=f"linbench show --range 1-{document.total}",
        )
    return lines


def region_index(document: "Document", name: str) -> int:
    """The region's place. Raises UsageError naming the nearest one."""
    index = document.region_named(name)
    if index is None:
        names = [region.name for region in document.frame.regions]
        raise UsageError(f"no region {name!r}. {nearest(name, names)}", run=f"linbench show --region {names[0]}")
    return index


def edit(
    range_: Annotated[str | None, typer.Option("--range", help="Replace lines A-B.")] = None,
    region: Annotated[str | None, typer.Option(help="Replace a whole region, by name.")] = None,
    after: Annotated[int | None, typer.Option(help="Insert after line N.")] = None,
    delete: Annotated[str | None, typer.Option(help="Delete lines A-B.")] = None,
    old: Annotated[str | None, typer.Option(help="Exact text to replace; it must occur once.")] = None,
    new: Annotated[str | None, typer.Option(help="What replaces --old.")] = None,
    file: Annotated[Path | None, typer.Option(help="Load a whole script; only its regions may differ.")] = None,
    content: Annotated[str | None, typer.Option(help="The new lines; else --content-file, else stdin.")] = None,
    content_file: Annotated[Path | None, typer.Option(help="File with the new lines; - is stdin.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="With --region: a key of `linbench mechanisms`.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")] = False,
    expect: Annotated[int | None, typer.Option(help="Refuse unless the script is at this revision.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Stage a change that is not whole yet.")] = False,
    session: SessionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the script: one operation on its editable regions."""
    source = Content(content, content_file, mechanism_file(from_, region))
    asked = _asked(range_=range_, region=region, after=after, delete=delete, old=old, file=file)
    if (new is None) != (old is None):
        raise UsageError("--old and --new go together.", run="linbench edit --old 'TEXT' --new 'TEXT'")
    needs_content = asked in ("range_", "region", "after")
    if not needs_content and source.given:
        raise UsageError(f"--{asked} takes no --content.", run="linbench edit --help")
    body = source.read() if needs_content else ""
    found = open_session(session)
    from sandbox.adoption import adopt
    from sandbox.fold import require_open

    adopt(found)
    with found.transact() as transaction:
        state = transaction.state
        with showing(state.document):
            require_open(state)
            operation = _operation(asked, state.document, range_ or delete, region, after, old, new, file, body)
            _expect(state, expect)
            _apply(found, transaction, operation, dry_run, partial, as_json)


def _asked(**options: Any) -> str:
    """The one operation that was asked for."""
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        what = f"These do not go together: {', '.join('--' + name.strip('_') for name in given)}." if given else ""
        raise UsageError(
            f"{what or 'No operation was given.'} Give one of --range A-B, --region NAME, --after N, --delete A-B, "
            "--old S --new S, --file FILE.",
            run="linbench edit --help",
        )
    return given[0]


def _operation(
    asked: str,
    document: "Document",
    lines: str | None,
    region: str | None,
    after: int | None,
    old: str | None,
    new: str | None,
    file: Path | None,
    body: str,
) -> "Operation":
    from sandbox.operations import Delete, Insert, Load, Replace, Substitute

    if region is not None:
        whole = document.ranges[region_index(document, region)]
        return Replace(whole.first, whole.last, body)
    if lines is not None:
        option = "--delete" if asked == "delete" else "--range"
        asked_lines = parse_range(lines, option, document)
        if option == "--delete":
            return Delete(asked_lines.first, asked_lines.last)
        return Replace(asked_lines.first, asked_lines.last, body)
    if after is not None:
        return Insert(after, body)
    if old is not None and new is not None:
        return Substitute(old, new)
    assert file is not None
    return Load(decode(read_file(file), str(file)))


def _expect(state: "SessionState", revision: int | None) -> None:
    if revision is not None and revision != state.revision:
        raise EditRefused(
            f"The script is at revision {state.revision}, not {revision}: it was changed since you read it.",
            run="linbench show",
        )


def _apply(
    found: "Session", transaction: Any, operation: "Operation", dry_run: bool, partial: bool, as_json: bool
) -> None:
    from sandbox.editor import edit as carry_out
    from sandbox.events import Edit
    from sandbox.view import render_success

    state = transaction.state
    task = state.task.task
    made = carry_out(state.document, operation, task.overrides, partial, task.policy)
    notes = list(made.notes)
    changes = (made.document.contents, made.whole) != (state.document.contents, state.whole)
    if dry_run:
        notes.insert(0, "Dry run: nothing was changed.")
    elif not changes:
        notes.insert(0, f"These lines were there already: the script stays at revision {state.revision}.")
    else:
        state = transaction.append(Edit(made.summary, made.document.contents, made.whole))
    text = render_success(made.document, made.summary, notes)
    facts = describe(state, made.document)
    reply_text(
        text,
        {
            **facts,
            "summary": made.summary,
            "notes": notes,
            "warnings": made.warnings,
            "whole": made.whole,
            "dry_run": dry_run,
        },
        as_json,
    )


def describe(state: "SessionState", document: "Document | None" = None) -> dict[str, Any]:
    """The facts of a script for --json."""
    shown = document or state.document
    pairs = zip(shown.frame.regions, shown.ranges, strict=True)
    return {
        "session": state.start.session,
        "file": shown.frame.file,
        "revision": state.revision,
        "total_lines": shown.total,
        "regions": [{"name": region.name, "first": lines.first, "last": lines.last} for region, lines in pairs],
        "whole": state.whole,
    }


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(show)
    app.command()(edit)
