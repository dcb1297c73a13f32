"""`linbench bench` and `linbench warm`: how fast this machine trains, and kernels compiled ahead of time."""

from typing import Annotated

import typer

from sandbox.cli.options import DEFAULT_TASK, JsonOption, ProfileOption, SetOption
from sandbox.cli.reply import reply

MECHANISMS = "mha,gla,deltanet,retnet,hybrid"
RANKED = "hybrid,deltanet,gla,retnet"
"""The order of their validation losses at gpt-345m, as published."""
MechanismsOption = Annotated[str, typer.Option(help="Keys of `linbench mechanisms`, with commas between.")]

app = typer.Typer(help="Measure this machine.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def throughput(
    mechanisms: MechanismsOption = MECHANISMS,
    profile: ProfileOption = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps in a round; with --loss in all.")] = None,
    loss: Annotated[str | None, typer.Option(help="Compare losses on this data set instead of speed.")] = None,
    seeds: Annotated[str, typer.Option(help="Of the trainings of --loss, with commas between.")] = "42",
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the script's training loop and a plain one in turn: tokens/s, their ratio, MFU and memory, or losses."""
    from sandbox.bench_report import loss_report, throughput_report
    from sandbox.seeds import parse_seeds

    asked, keys = _asked(profile, settings), mechanisms.split(",")
    if loss is None:
        found = throughput_report(keys, asked, steps)
    else:
        chosen = parse_seeds(seeds, f"bench throughput --loss {loss} --seeds")
        found = loss_report(keys, asked, loss, steps or 300, chosen)
    reply(found, as_json)


@app.command()
def ranking(
    mechanisms: Annotated[str, typer.Option(help="Keys in the order of a longer training, the best first.")] = RANKED,
    profile: ProfileOption = "proxy",
    seeds: Annotated[str, typer.Option(help="Seeds, with commas between.")] = "42,43",
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train mechanisms at a profile, one a GPU; show how far their losses stand in the order of a longer training."""
    from sandbox.agreement_report import ranking_report
    from sandbox.seeds import parse_seeds

    chosen = parse_seeds(seeds, "bench ranking --seeds")
    reply(ranking_report(mechanisms.split(","), chosen, _asked(profile, settings), _say), as_json)


@app.command()
def scaling(
    mechanisms: MechanismsOption = "mha,deltanet",
    gpus: Annotated[list[int] | None, typer.Option(min=1, help="GPUs of one training; left out: 1 and all.")] = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train on one GPU and on several of this machine, at the same batch a step: tokens/s, and the share of linear."""
    from harness.machine import gpu_names
    from sandbox.scaling_report import scaling_report

    counts = gpus or sorted({1, max(1, len(gpu_names()))})
    reply(scaling_report(mechanisms.split(","), counts, _asked(profile, settings), _say), as_json)


@app.command()
def kernels(
    mechanisms: MechanismsOption = "deltanet,gla",
    profile: ProfileOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where the milliseconds of a training step go on this GPU, by kind of kernel, in both loops."""
    from sandbox.bench_report import breakdown_report

    reply(breakdown_report(mechanisms.split(","), _asked(profile, settings)), as_json)


def warm(
    mechanisms: MechanismsOption = MECHANISMS,
    profile: ProfileOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compile the GPU kernels of known mechanisms into a cache that every session starts from."""
    from sandbox.warming import warm_report

    asked = _asked(profile, settings)
    reply(warm_report(mechanisms.split(","), asked.config, _say), as_json)


def _say(line: str) -> None:
    typer.echo(f"linbench: {line}", err=True)


def _asked(profile: str | None, settings: list[str] | None):  # type: ignore[no-untyped-def]
    """The conditions of a test of the default task on this machine."""
    from sandbox.conditions import conditions, default_profile, parse_settings
    from sandbox.tasks import load_task

    task = load_task(DEFAULT_TASK).task
    return conditions(task, profile or default_profile(task), 0, parse_settings(settings or []))


def register(main: typer.Typer) -> None:
    """Add these commands."""
    main.add_typer(app, name="bench")
    main.command()(warm)
