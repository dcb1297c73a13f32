"""What `linbench bench ranking` answers: losses by tokens spent, and how far they rank as a longer training does."""

import os
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import product
from statistics import fmean

import msgspec

from harness.bench.curves import Curve, Point
from harness.machine import gpu_names
from harness.run_config import RunConfig
from sandbox.bench_process import answers
from sandbox.bench_report import request_for
from sandbox.conditions import Conditions, open_data
from sandbox.errors import UsageError
from sandbox.figures import duration, number
from sandbox.rank_agreement import Pair, kendall_tau, pairs
from sandbox.report import Heading, Paragraph, Report, Table

NOISY = "~"
"""Before a pair whose order another seed could turn round."""


def ranking_report(keys: Sequence[str], seeds: Sequence[int], asked: Conditions, say: Callable[[str], None]) -> Report:
    """Train every mechanism with every seed, side by side on this machine's GPUs, and rank them on the way.

    `keys` stand in the order of the longer training, the best first. Raises UsageError, or MachineFault when a
    training fails.
    """
    if len(set(keys)) < 2 or len(set(keys)) < len(keys):
        raise UsageError("a ranking needs at least two mechanisms, each once.", run="linbench mechanisms")
    request_for(keys, asked.config)  # an unknown key is refused before anything trains
    data = open_data(asked)
    files = {"train_files": tuple(map(str, data.train_files)), "dev_files": tuple(map(str, data.dev_files))}
    config = msgspec.structs.replace(asked.config, **files)
    curves = train_all(keys, seeds, config, say)
    rows = [_row(keys, curves, number) for number in range(len(curves[0].points))]
    columns = ("tokens", *keys, "Kendall's tau", "turned round")
    slowest = max(curve.points[-1].seconds for curve in curves)
    heading = Heading(f"Order of mechanisms at {asked.profile.name} on {data.name}, seeds {', '.join(map(str, seeds))}")
    note = (
        f"Mean losses on held-out text; {' < '.join(keys)} is the order to be found. {NOISY}: the 95 % interval of the "
        "difference, by the deviation from seed to seed pooled over the mechanisms, includes 0. The slowest training "
        f"took {duration(slowest)} after its first steps. Points before the last are of the same trainings, whose "
        "learning rate had not fallen yet."
    )
    facts = {
        "profile": asked.profile.name,
        "data": data.name,
        "config": msgspec.to_builtins(asked.config),
        "curves": msgspec.to_builtins(curves),
        "rows": [{"tokens": tokens, "tau": tau, "pairs": list(map(asdict, found))} for tokens, _, tau, found in rows],
    }
    shown = tuple(
        (f"{tokens:,}", *(number(loss) for loss in means), f"{tau:+.2f}", _turned(found))
        for tokens, means, tau, found in rows
    )
    return Report(facts, (heading, Table(columns, shown, frozenset(columns[:-1])), Paragraph(note)))


def train_all(
    keys: Sequence[str], seeds: Sequence[int], config: RunConfig, say: Callable[[str], None]
) -> tuple[Curve, ...]:
    """Every mechanism with every seed, one training at a time on each GPU, or on the CPU."""
    places: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    for place in _places(config.device):
        places.put(place)

    def train(job: tuple[str, int]) -> Curve:
        place = places.get()
        try:
            return _train(*job, config, place, say)
        finally:
            places.put(place)

    with ThreadPoolExecutor(places.qsize()) as pool:
        return tuple(pool.map(train, product(keys, seeds)))


def _places(device: str) -> Sequence[str | None]:
    """The GPU of each training that may run at once; None on the CPU."""
    if device == "cpu":
        return [None]
    return (os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(len(gpu_names()))))).split(",")


def _train(key: str, seed: int, config: RunConfig, place: str | None, say: Callable[[str], None]) -> Curve:
    request = request_for([key], msgspec.structs.replace(config, seed=seed))
    points: list[Point] = []
    for line in answers("harness.bench.curve", request, f"the training of {key}", "bench ranking", gpu=place):
        points.append(point := msgspec.json.decode(line, type=Point))
        say(f"{key}, seed {seed}: {point.tokens:,} tokens, {point.loss:.4f}, {point.seconds:.1f} s")
    return Curve(key, seed, tuple(points))


def _row(keys: Sequence[str], curves: Sequence[Curve], at: int) -> tuple[int, list[float], float, tuple[Pair, ...]]:
    """Tokens spent, mean losses, agreement and pairs at one point of all trainings."""
    losses = {key: [curve.points[at].loss for curve in curves if curve.mechanism == key] for key in keys}
    found = pairs(losses)
    return curves[0].points[at].tokens, [fmean(losses[key]) for key in keys], kendall_tau(found), found


def _turned(found: Sequence[Pair]) -> str:
    """Which pairs stand the wrong way round, and which noise could turn."""
    noisy = [f"{NOISY}{pair.better}/{pair.worse}" for pair in found if not pair.certain]
    wrong = [f"{pair.worse} < {pair.better}" for pair in found if pair.certain and pair.gap < 0]
    return ", ".join([*wrong, *noisy]) or "none"
