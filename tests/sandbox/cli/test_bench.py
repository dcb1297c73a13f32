"""`linbench bench` and `linbench warm`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.launch import child_environment
from harness.machine import gpu_names
from sandbox.bench_report import request_for
from sandbox.conditions import conditions
from sandbox.tasks import load_task
from sandbox.warming import warm, warm_child

Linbench = Callable[..., Any]
SMALL = ("--profile", "smoke", "--set", "n_layer=1", "--set", "n_embd=32", "--set", "block_size=32")


def test_the_two_loops_are_compared_in_speed(linbench: Linbench) -> None:
    """One command prints tokens/s of both loops, their ratio, and the facts for machines."""
    reply = linbench(
        "bench", "throughput", "--mechanisms", "mha", *SMALL, "--set", "device=cpu", "--steps", "1", "--json"
    )
    (row,) = reply.json["rows"]
    assert row["mechanism"] == "mha"
    assert row["ratio"] > 0
    assert row["mfu"] is None


def test_the_two_loops_are_compared_in_loss(linbench: Linbench) -> None:
    """With --loss both train on a data set with each seed; the table shows the difference, and what noise makes."""
    options = ("--mechanisms", "mha", *SMALL, "--set", "device=cpu", "--steps", "3", "--loss", "pydocs")
    reply = linbench("bench", "throughput", *options, "--seeds", "1,2")
    assert reply.code == 0
    rows = [line.split() for line in reply.out.splitlines() if line.startswith("mha")]
    assert [row[:3] for row in rows] == [["mha", seed, step] for seed in "12" for step in "123"]
    assert rows[2][3] != rows[5][3]
    assert all(abs(float(cell)) < 1e-4 for row in rows for cell in row[-2:])


def test_mechanisms_are_ranked_by_tokens_spent(linbench: Linbench) -> None:
    """Every mechanism trains with every seed, and each point of the trainings has its losses and its agreement."""
    small = ("--set", "max_iters=4", "--set", "eval_iters=1", "--set", "device=cpu")
    reply = linbench("bench", "ranking", "--mechanisms", "mha,linear", *SMALL, *small, "--json")
    assert [(curve["mechanism"], curve["seed"]) for curve in reply.json["curves"]] == [
        *(("mha", 42), ("mha", 43), ("linear", 42), ("linear", 43))
    ]
    assert [row["tokens"] for row in reply.json["rows"]] == [256, 512, 768, 1024]
    losses = [point["loss"] for point in reply.json["curves"][0]["points"]]
    assert losses[-1] < losses[0]
    assert {abs(row["tau"]) for row in reply.json["rows"]} <= {0.0, 1.0}
    assert "linear, seed 43: 1,024 tokens" in reply.err


def test_one_training_is_shared_by_processes(linbench: Linbench) -> None:
    """The same batch on one process and on two, each with its rate and its share of linear."""
    shared = ("--set", "gradient_accumulation_steps=2", "--set", "device=cpu")
    reply = linbench("bench", "scaling", "--mechanisms", "mha", "--gpus", "1", "--gpus", "2", *SMALL, *shared, "--json")
    assert [(row["gpus"], min(row["tokens_per_second"]) > 0) for row in reply.json["rows"]] == [(1, True), (2, True)]
    assert reply.json["rows"][0]["of_linear"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("bench", "scaling", "--gpus", "3", *SMALL, "--set", "device=cpu"),
            "3 processes cannot share 1 micro-batches",
        ),
        (("bench", "ranking", "--mechanisms", "mha"), "at least two mechanisms"),
        (("bench", "ranking", "--mechanisms", "mha,gal", *SMALL), "no mechanism 'gal'"),
        (("bench", "ranking", "--seeds", "x", *SMALL), "linbench bench ranking --seeds 42,43"),
        (
            ("bench", "throughput", "--loss", "pydocs", "--seeds", "1,1"),
            "linbench bench throughput --loss pydocs --seeds 42,43",
        ),
        (("bench", "throughput", "--mechanisms", "mha,gal"), "no mechanism 'gal'"),
        (("bench", "throughput", "--profile", "smok"), "no profile 'smok'"),
        (("bench", "kernels", "--profile", "smoke", "--set", "device=cpu"), "kernels are those of a GPU"),
        (("warm", "--profile", "smoke", "--set", "device=cpu"), "only kernels of a GPU are compiled"),
    ],
)
def test_what_cannot_be_measured_is_refused(linbench: Linbench, arguments: tuple[str, ...], said: str) -> None:
    """A mistake is answered before anything runs."""
    reply = linbench(*arguments)
    assert (reply.code, said in reply.out) == (2, True), reply.out


@pytest.mark.slow
@pytest.mark.skipif(bool(gpu_names()), reason="the CPU's processes, where there is no GPU")
def test_warming_runs_every_mechanism_twice(runs: Path, tmp_path: Path) -> None:
    """The real processes train and check a mechanism; the last words of one that cannot run are kept."""
    task = load_task("llm-pretrain-linear-attention").task
    small = {"n_layer": "1", "n_embd": "32", "n_head": "2", "block_size": "32", "device": "cpu"}
    said: list[str] = []
    odd = {**small, "n_embd": "33"}
    rows = warm(["mha"], conditions(task, "smoke", 0, small).config, tmp_path / "kernels", said.append)
    assert [(row.mechanism, row.error) for row in rows] == [("mha", None)]
    assert said == ["compiling mha", "tuning mha: training", "tuning mha: preflight"]
    request = tmp_path / "odd.json"
    request.write_bytes(msgspec.json.encode(request_for(["mha"], conditions(task, "smoke", 0, odd).config)))
    seconds, error = warm_child(request, "training", child_environment("cpu"))
    assert seconds > 0
    assert error is not None
    assert error.startswith("AssertionError")
