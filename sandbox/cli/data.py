"""`linbench profiles` and `linbench data`: sizes of runs, and the data sets that they read."""

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.options import JsonOption
from sandbox.cli.reply import reply

app = typer.Typer(help="List and prepare data sets.", no_args_is_help=True, rich_markup_mode=None)


def profiles(
    name: Annotated[str | None, typer.Argument(help="Show this one in full.")] = None, as_json: JsonOption = False
) -> None:
    """List the sizes of runs: parameters, tokens, operations, memory and estimated hours on this machine's GPUs."""
    from sandbox.conditions import known_profile
    from sandbox.profile_report import profile_report, profiles_report

    reply(profiles_report() if name is None else profile_report(known_profile(name).name), as_json)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the data sets, prepared or not, with the files that each wants and where they come from."""
    from sandbox.data_report import data_report

    reply(data_report(), as_json)


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="A data set of `linbench data list`, or a new name for your own text.")],
    source: Annotated[list[str] | None, typer.Option(help="File, folder or OWNER/NAME on the hub; repeatable.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="gpt2, bytes, characters or bpe:N.")] = None,
    processes: Annotated[int | None, typer.Option(help="Worker processes; else one a core.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tokenise a data set and split it by document; an interrupted preparation goes on where it stopped."""
    from sandbox.data_report import prepare_data

    reply(prepare_data(name, [Path(place) for place in source] if source else None, tokenizer, processes), as_json)


def register(main: typer.Typer) -> None:
    """Add these commands."""
    main.command()(profiles)
    main.add_typer(app, name="data")
