"""What a training's imports cost, in processor time: `python -m harness.bench.imports`.

torch with its compiler and one layer of flash-linear-attention are imported as FLA has it and lazily, with bytecode and
without, all in turn.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial

from harness.bench.turns import medians_in_turn

ROUNDS = 5
TORCH = "import torch, torch._inductor.compile_fx"
LAYER = "from fla.layers import GatedLinearAttention"
LAZILY = "from harness.lazy_fla import install; install()"
COSTS = "import os; times = os.times(); print(times.user + times.system)"


def seconds(code: str, environment: Mapping[str, str]) -> float:
    """Processor time of a process that runs the code."""
    command = [sys.executable, "-W", "ignore", "-c", f"{code}; {COSTS}"]
    told = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    ended = subprocess.run(command, env=told, check=True, capture_output=True, text=True)
    return float(ended.stdout.split()[-1])


def main() -> None:
    """Print the medians and their ratios to torch alone with bytecode."""
    wanted = {"torch": TORCH, "torch, fla": f"{TORCH}; {LAYER}", "torch, fla lazily": f"{LAZILY}; {TORCH}; {LAYER}"}
    with tempfile.TemporaryDirectory() as empty:
        places = {"": {}, ", no bytecode": {"PYTHONPYCACHEPREFIX": empty}}
        cases = {
            name + place: partial(seconds, code, told)
            for place, told in places.items()
            for name, code in wanted.items()
        }
        found = medians_in_turn(cases, ROUNDS)
    print(f"{'imported':<32}{'seconds':>8}{'ratio':>8}   (processor time, medians of {ROUNDS} rounds in turn)")
    for name, middle in found.items():
        print(f"{name:<32}{middle:>8.2f}{middle / found['torch']:>8.2f}")


if __name__ == "__main__":
    main()
