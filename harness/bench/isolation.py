"""What the sandbox costs a training run: `python -m harness.bench.isolation [PROFILE [STEPS]]`, on a CPU or one GPU.

Trainings without and with each sandbox take turns. Processor time is compared beside wall time: other work on the
machine moves it less.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from harness import stages
from harness.data.training import training_data
from harness.isolation import KINDS, NoIsolation, choose
from harness.launch import exclusive
from harness.machine import default_device
from harness.metrics import read_evaluations
from harness.profiles import load_profile, resolve
from harness.run_folder import RunFolder

GOAL = 1.01
"""A run in the sandbox takes at most so many times as long."""
ROUNDS = 5
STEPS = 100
"""Of each training; starting up weighs more in a short one."""
TEMPLATE = Path(__file__).parents[2] / "templates" / "custom_pretrain.py"


def train(name: str, steps: int, kind: str, where: Path) -> tuple[float, float, float]:
    """Wall seconds and processor seconds of a whole run, and its seconds a token."""
    profile = load_profile(name)
    quiet = {"max_iters": str(steps), "eval_interval": str(steps), "log_interval": str(steps), "eval_iters": "1"}
    config = resolve(profile, seed=0, device=default_device(), overridden=quiet)
    folder = RunFolder(where / "tests" / "1")
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.source.write_bytes(TEMPLATE.read_bytes())
    folder.checkpoint.unlink(missing_ok=True)
    stages.write_run_config(folder, config, training_data(profile.data))
    before = _children_seconds()
    with exclusive(folder.lock) as lock:
        ended, fault = stages.run_training(folder, config, profile, lock, lambda line: None, isolation=kind)
    if fault is not None:
        raise SystemExit(f"{kind}: {fault.message}\n{ended.tail}")
    speed = read_evaluations(folder.metrics)[-1].tokens_per_second
    return ended.seconds, _children_seconds() - before, 1 / speed


def _children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Print the medians of each kind, and the median of the ratios within a round."""
    name = sys.argv[1] if len(sys.argv) > 1 else "smoke"
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else STEPS
    kinds = [kind for kind in KINDS if _works(kind)]
    found: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as where:
        for _ in range(ROUNDS):
            for kind in kinds:
                found[kind].append(train(name, steps, kind, Path(where)))
    print(f"{name}, {steps} steps, medians of {ROUNDS} rounds; as multiples of none, goal: at most {GOAL}")
    for isolation, rounds in found.items():
        pairs = zip(rounds, found["none"], strict=True)
        ratios = zip(*([own / bare for own, bare in zip(*pair, strict=True)] for pair in pairs), strict=True)
        whole, processor, token = map(statistics.median, ratios)
        print(f"{isolation:12} run {whole:.3f}   processor time {processor:.3f}   seconds a token {token:.3f}")


def _works(kind: str) -> bool:
    try:
        choose(kind)
    except NoIsolation as problem:
        print(f"{kind} is left out: {problem}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    main()
