"""The commands, gathered; and the one boundary where errors become replies and exit codes."""

import gc
import io
import json
import os
import shlex
import sys
from typing import Annotated, NoReturn

import typer

from sandbox import __version__
from sandbox.cli import bench, data, editing, history, library, results, selftest, tasks, testing
from sandbox.errors import LinbenchError, MachineFault, Stopped, UsageError, nearest

app = typer.Typer(
    name="linbench",
    help="Rewrite marked regions of a GPT-2 pretraining script, train it on a budget, submit one run.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"linbench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """What may stand before a command."""


for module in (tasks, library, data, bench, editing, history, testing, results, selftest):
    module.register(app)

_COLLECT_AFTER = 100_000
"""New objects between two garbage collections. A command makes many that live to its end (modules, a syntax tree), and
looking through them again and again took a tenth of an edit."""

_ClickException: type[Exception] = typer.BadParameter.__mro__[2]
"""The base of every error that the argument parser raises; Typer brings its own copy of click or uses the package."""


def main() -> NoReturn:
    """Run one command and exit with its code."""
    gc.set_threshold(_COLLECT_AFTER)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a reply reaches a terminal of any encoding
    try:
        code = _run_command()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; the last flush must not fail
        code = 0
    sys.exit(code)


def _run_command() -> int:
    command = typer.main.get_command(app)
    try:
        # Not command.main(): it turns an early reader and Ctrl-C into exits of its own.
        with command.make_context("linbench", sys.argv[1:]) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except LinbenchError as error:
        return reply_error(error)
    except _ClickException as error:
        return reply_error(_usage_error(error, sorted(command.commands)))  # type: ignore[attr-defined]
    except BrokenPipeError:
        raise
    except OSError as error:
        return reply_error(MachineFault(f"the machine refused: {error}. Nothing was charged.", run="linbench status"))
    except (KeyboardInterrupt, typer.Abort):
        return reply_error(Stopped("Interrupted. Nothing that was recorded is lost.", run="linbench status"))
    return 0


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
    words = sys.argv[1:]
    command = next((word for word in words if word in commands), None)
    context = getattr(error, "ctx", None)
    typed = context.command_path if context else " ".join(filter(None, ["linbench", command]))
    explain = f"{typed} --help"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if message.startswith("Usage:"):  # nothing was typed
        return UsageError(f"No command was given.\n\n{message}", run=explain if command else "linbench start")
    if message.startswith("No such command"):
        known = sorted(error.ctx.command.commands)  # type: ignore[attr-defined]
        wrong = message.partition("'")[2].partition("'")[0]
        return UsageError(f"No such command {wrong!r}. {nearest(wrong, known)}", run=explain)
    if message.startswith("No such option") and "Possible options" not in message and context is not None:
        options = sorted({parameter.opts[-1] for parameter in context.command.params if parameter.opts[-1][0] == "-"})
        message = f"{message.rstrip('.')}. {nearest('', options)}"
    if command is not None and words[0] != command:
        behind = [word for word in words if word != command]
        return UsageError(f"{message}; options follow the command.", run=f"linbench {command} {shlex.join(behind)}")
    return UsageError(message, run=explain)
