"""One training whose loss on held-out text is noted on its way: `python -m harness.bench.curve REQUEST`.

It prints a line of JSON a point, as it comes to it.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from harness.bench.comparison import Request
from harness.bench.curves import Point, steps_of
from harness.bench.loops import WARM_UP, TemplateLoop, script_of, settings_of
from harness.bench.throughput import held_out_loss, seconds
from harness.child import prepare_child
from harness.estimates import tokens_per_step


def main() -> None:
    """Train the request's one mechanism."""
    prepare_child()
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    (path,) = map(Path, request.mechanisms)
    script = script_of(request, path)
    with tempfile.TemporaryDirectory() as folder:
        for point in curve(script, settings_of(request.config, Path(folder))):
            print(msgspec.json.encode(point).decode(), flush=True)


def curve(script: ModuleType, settings: Any) -> Iterator[Point]:
    """Train to the last step, and give each point as it is reached; neither first steps nor evaluations are timed."""
    loop, done, spent = TemplateLoop(script, settings), 0, 0.0
    for step in steps_of(settings.max_iters):
        first = max(0, min(step, WARM_UP) - done)
        seconds(loop.update, first)
        spent += seconds(loop.update, step - done - first)
        yield Point(step, step * tokens_per_step(settings), held_out_loss(loop, script, settings), spent)
        done = step


if __name__ == "__main__":
    main()
