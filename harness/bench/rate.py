"""Tokens/s of one training, shared by the processes that torchrun started: `python -m harness.bench.rate REQUEST`.

The first process prints the rates of its rounds as one line of JSON.
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import msgspec
import torch.distributed as dist

from harness.bench.comparison import Request
from harness.bench.loops import WARM_UP, script_of, settings_of
from harness.bench.throughput import seconds
from harness.child import prepare_child
from harness.estimates import tokens_per_step

ROUNDS = 3
ROUND_SECONDS = 1.0
"""A round has as many optimizer steps as take about so long, and at least one."""


def main() -> None:
    """Time rounds of optimizer steps of the request's one mechanism."""
    prepare_child()
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    (path,) = map(Path, request.mechanisms)
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(request.config, Path(folder))
        training = script_of(request, path).Training(settings)
        for _ in range(WARM_UP):
            training.update()
        (once,) = training.workers.sum(seconds(training.update, 1))  # all must do as many steps
        steps = max(1, math.ceil(ROUND_SECONDS * training.workers.count / once))
        rates = [steps * tokens_per_step(settings) / seconds(training.update, steps) for _ in range(ROUNDS)]
    if training.workers.rank == 0:
        print(json.dumps(rates), flush=True)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
