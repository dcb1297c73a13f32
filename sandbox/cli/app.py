"""The commands, gathered; and the one boundary where errors become replies and exit codes."""

import json
import os
import sys
from typing import NoReturn

import typer

from sandbox.cli import data, editing, history, library, results, tasks, testing
from sandbox.errors import LinbenchError, MachineFault, UsageError, nearest

app = typer.Typer(
    name="linbench",
    help="Rewrite marked regions of a GPT-2 pretraining script, train it on a budget, submit one run.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (tasks, library, data, editing, history, testing, results):
    module.register(app)

_ClickException: type[Exception] = typer.BadParameter.__mro__[2]
"""The base of every error that the argument parser raises; Typer brings its own copy of click or uses the package."""


def main() -> NoReturn:
    """Run one command and exit with its code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(prog_name="linbench", standalone_mode=False)
    except LinbenchError as error:
        code = reply_error(error)
    except _ClickException as error:
        code = reply_error(_usage_error(error, sorted(command.commands)))  # type: ignore[attr-defined]
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; the last flush must not fail
        code = 0
    except OSError as error:
        code = reply_error(MachineFault(f"the machine refused: {error}. Nothing was charged.", run="linbench status"))
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def reply_error(error: LinbenchError) -> int:
    """Print an error as the command's reply and give its exit code."""
    if "--json" in sys.argv:
        kind = type(error).__name__
        facts = {"kind": kind, "message": error.message, "line": error.line, "column": error.column, "run": error.run}
        print(json.dumps({"ok": False, "exit_code": error.exit_code, "error": facts}, ensure_ascii=False))
        return error.exit_code
    parts = [f"ERROR: {error.message}"]
    if error.run:
        parts.append(f"hint: {error.run}")
    if error.view:
        parts.append(error.view)
    print("\n\n".join(parts))
    return error.exit_code


def _usage_error(error: Exception, commands: list[str]) -> UsageError:
    """What the argument parser found, with the command to run next."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "linbench"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if message.startswith("No such command"):
        wrong = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        message = f"No such command {wrong!r}. {nearest(wrong, commands)}"
    return UsageError(message or "No command was given.", run=f"{path} --help")
