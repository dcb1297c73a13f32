"""`linbench selftest`: hostile edits, tried on this machine, each of which a named layer must stop."""

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.options import JsonOption
from sandbox.cli.reply import reply


def selftest(
    only: Annotated[str | None, typer.Option("--only", metavar="NAME", help="Try this attempt alone.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Try hostile and broken edits in a throw-away folder; exits 0 only when each is stopped by the layer that must."""
    from harness.data.root import data_root
    from sandbox.conditions import isolate
    from sandbox.errors import UsageError
    from sandbox.paths import runs_dir, tasks_dir, templates_dir
    from sandbox.selftest.attempt import attempts, find
    from sandbox.selftest.report import report
    from sandbox.selftest.suite import Elsewhere, run_all
    from sandbox.selftest.verdict import Verdict

    chosen = attempts() if only is None else [find(only)]
    isolation = isolate(None)
    if isolation == "none":
        raise UsageError(
            "The attempts are hostile code; they run only in a sandbox, and LINBENCH_ISOLATION says none.",
            run="env -u LINBENCH_ISOLATION linbench selftest",
        )

    def say(verdict: Verdict) -> None:
        mark = "stopped by" if verdict.passed else f"must be stopped by {verdict.expected}, but was by"
        typer.echo(f"{verdict.name}: {mark} {verdict.stopped_by} ({verdict.seconds:.1f} s)", err=True)

    package = Path(__file__).parents[2]
    own = [package / "harness", package / "sandbox", tasks_dir(), templates_dir()]
    elsewhere = Elsewhere([*own, runs_dir(), data_root()])
    verdicts = run_all(chosen, isolation, say)
    reply(report(verdicts, isolation, elsewhere.changed()), as_json)


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(selftest)
