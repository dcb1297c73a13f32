"""How a command answers: plain text in a pipe, Rich on a terminal, one JSON object with --json."""

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.report import Report


def reply(report: "Report", as_json: bool) -> None:
    """Print a report in the form that its reader wants."""
    if as_json:
        reply_json(report.data)
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(report.rich())
    else:
        sys.stdout.write(report.text())


def reply_text(text: str, data: dict[str, Any], as_json: bool) -> None:
    """Print a text whose wording is fixed, or its facts."""
    if as_json:
        reply_json(data)
    else:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def reply_json(data: dict[str, Any]) -> None:
    """Print one JSON object; `ok` says that the command did what it was asked to."""
    print(json.dumps({"ok": True, **data}, ensure_ascii=False))
