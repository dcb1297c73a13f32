"""Puts one known mechanism through all that a test does on a GPU, so that its kernels lie compiled in a cache.

`python -m harness.warm REQUEST training` does two optimizer steps and an evaluation with two layers, whose kernels are
those of any number of layers; `preflight` in the place of `training` does what `linbench check` does.
"""

import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import msgspec

from harness.bench.comparison import Request
from harness.bench.loops import settings_of, spliced
from harness.child import prepare_child
from harness.preflight.preflight import Preflight
from harness.preflight.report import Request as Check
from harness.preflight.report import Rules
from harness.run_config import RunConfig
from harness.script import load_script

LAYERS = 2
STEPS = 2
RULES = Rules(exponent=2.0, reference=True)
"""Every check runs, and none refuses a known mechanism for its cost."""


def small(config: RunConfig) -> RunConfig:
    """The config with as little work as meets every kernel."""
    layers = min(LAYERS, config.n_layer)
    return msgspec.structs.replace(config, n_layer=layers, gradient_accumulation_steps=1, eval_iters=1, log_interval=1)


def main() -> None:
    """Warm one stage of the request's mechanisms, one after the other."""
    prepare_child()
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    for mechanism in map(Path, request.mechanisms):
        with tempfile.TemporaryDirectory() as folder:
            source, run = Path(folder, "source.py"), Path(folder, "run.json")
            source.write_text(spliced(request, mechanism), encoding="utf-8")
            settings = settings_of(small(request.config), Path(folder))
            run.write_bytes(msgspec.json.encode(vars(settings)))
            if sys.argv[2] == "preflight":
                Preflight(Check(str(source), str(run), RULES)).run_all()
            else:
                train(source, settings)


def train(source: Path, settings: SimpleNamespace) -> None:
    training = load_script(source).Training(settings)
    training.lap_step, training.lap_start = 0, 0.0
    for _ in range(STEPS):
        training.update()
    training.report()
    training.evaluate()


if __name__ == "__main__":
    main()
