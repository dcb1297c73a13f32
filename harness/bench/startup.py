"""Wall time of whole `linbench` processes against that of `import libcst`: `python -m harness.bench.startup`."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from statistics import median

ROUNDS = 15
GOAL = 2.5
"""An edit takes at most so many times as long as loading libcst, which it needs."""


def seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    """Wall time of one whole process that succeeds."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Print median times and their ratio to the reference, all measured in turn."""
    linbench = [sys.executable, "-m", "sandbox"]
    commands = {
        'python -c "import libcst"': [sys.executable, "-c", "import libcst"],
        "linbench edit": [*linbench, "edit", "--range", "33-33", "--content", "# a comment"],
        "linbench status": [*linbench, "status"],
    }
    with tempfile.TemporaryDirectory() as runs:
        environment = {**os.environ, "LINBENCH_RUNS": runs}
        seconds([*linbench, "start"], environment)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS + 1):
            for name, command in commands.items():
                times[name].append(seconds(command, environment))
    reference = median(times['python -c "import libcst"'][1:])
    print(f"{'process':<28}{'median ms':>10}{'ratio':>8}   ({ROUNDS} rounds in turn; goal for edit: at most {GOAL})")
    for name, measured in times.items():
        middle = median(measured[1:])
        print(f"{name:<28}{middle * 1000:>10.0f}{middle / reference:>8.2f}")


if __name__ == "__main__":
    main()
