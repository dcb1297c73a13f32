"""Children of benchmarks: real processes on smoke."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ASK = """
from harness.profiles import load_profile, resolve
from sandbox.bench_process import answers
from sandbox.bench_report import request_for
config = resolve(load_profile("smoke"), seed=1, device="cpu")
for line in answers("harness.bench.throughput", request_for(("mha",), config, "loss", 10**6), "it", "bench"):
    print(line)
"""


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_benchmark_that_is_killed_leaves_nothing_on_the_machine(
    wait_until: Callable[[Callable[[], bool]], None], wait_for_end: Callable[..., None]
) -> None:
    """Its child, which would go on using the GPU, dies with it, however it dies."""
    with subprocess.Popen([sys.executable, "-c", ASK], stderr=subprocess.DEVNULL) as asking:
        wait_until(lambda: bool(children(asking.pid)))
        (child,) = children(asking.pid)
        wait_until(lambda: b"harness.bench.throughput" in Path(f"/proc/{child}/cmdline").read_bytes())
        wait_until(lambda: "torch" in Path(f"/proc/{child}/maps").read_text())  # it has begun
        os.kill(asking.pid, signal.SIGKILL)
        wait_for_end(child)
