"""One training whose loss on held-out text is noted on its way: `python -m harness.bench.curve REQUEST`.

It prints a line of JSON a point, as it comes to it.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import torch

from harness.bench.comparison import Request
from harness.bench.curves import Point, steps_of
from harness.bench.loops import WARM_UP, TemplateLoop, settings_of, spliced
from harness.bench.throughput import held_out_loss
from harness.estimates import tokens_per_step
from harness.fla_cpu import install
from harness.script import define_script


def main() -> None:
    """Train the request's one mechanism."""
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    if request.config.device == "cpu":
        install()
    (path,) = map(Path, request.mechanisms)
    script = define_script(spliced(request, path), f"custom_pretrain_{path.stem}.py")
    with tempfile.TemporaryDirectory() as folder:
        for point in curve(script, settings_of(request.config, Path(folder))):
            print(msgspec.json.encode(point).decode(), flush=True)


def curve(script: Any, settings: Any) -> Iterator[Point]:
    """Train to the last step, and give each point as it is reached; evaluations are not timed."""
    loop, seconds, began = TemplateLoop(script, settings), 0.0, None
    for step in range(1, settings.max_iters + 1):
        loop.update()
        if step in steps_of(settings.max_iters):
            seconds += _since(began)
            yield Point(step, step * tokens_per_step(settings), held_out_loss(loop, script, settings), seconds)
            began = _now()
        if step == WARM_UP:
            began = _now()


def _now() -> float:
    torch.cuda.synchronize() if torch.cuda.is_available() else None
    return time.perf_counter()


def _since(began: float | None) -> float:
    return 0.0 if began is None else _now() - began


if __name__ == "__main__":
    main()
