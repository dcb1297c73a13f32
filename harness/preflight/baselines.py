"""Counts the parameters of a task's baselines: `python -m harness.preflight.baselines FILE`, a Baselines as JSON.

The answer is one line of JSON, a number a name; a baseline that cannot be built at these sizes is left out.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec

from harness.child import prepare_child
from harness.preflight.parameters import size_of
from harness.preflight.report import Baselines
from harness.script import define_script


def count(asked: Baselines) -> dict[str, int]:
    """All parameters of each that can be built. Raises ValueError where none can."""
    settings = SimpleNamespace(**msgspec.to_builtins(asked.config))
    found, problems = {}, []
    for name, source in asked.sources.items():
        try:
            found[name] = size_of(define_script(source, name), settings).all
        except Exception as problem:  # sizes that do not divide are refused in many ways
            problems.append(f"{name}: {problem}")
    if not found:
        raise ValueError("; ".join(problems))
    return found


def main() -> None:
    """Print the counts."""
    prepare_child()
    asked = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Baselines)
    print(msgspec.json.encode(count(asked)).decode())


if __name__ == "__main__":
    main()
