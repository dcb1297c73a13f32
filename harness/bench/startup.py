"""Wall time of whole `linbench` processes against that of `import libcst`: `python -m harness.bench.startup`."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial

from harness.bench.turns import medians_in_turn

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
        cases = {name: partial(seconds, command, environment) for name, command in commands.items()}
        found = medians_in_turn(cases, ROUNDS)
    reference = found['python -c "import libcst"']
    print(f"{'process':<28}{'median ms':>10}{'ratio':>8}   ({ROUNDS} rounds in turn; goal for edit: at most {GOAL})")
    for name, middle in found.items():
        print(f"{name:<28}{middle * 1000:>10.0f}{middle / reference:>8.2f}")


if __name__ == "__main__":
    main()
