"""Run `linbench ARGUMENTS` and die by kill -9 at the moment that argv[1] names; argv[2:] are the arguments.

The moments, in the order of a test: check, reserved, training, trained, scoring, result.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from harness import launch, stages
from sandbox import reserved_test
from sandbox.cli import main
from sandbox.progress import TrainingProgress

DIE_AT_STEP = 7


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_step(progress: TrainingProgress, line: str) -> None:
    if line.startswith(f"PROGRESS: step={DIE_AT_STEP},"):
        die()


def die_in_child(module: str) -> Callable[..., Any]:
    """Start children as ever, and die while the one that runs `module` is at work."""
    real = launch.subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        process = real(command, **options)
        if module in command:
            time.sleep(0.3)
            assert process.poll() is None, f"{module} was over too soon"
            die()
        return process

    return start


def arm(moment: str) -> None:
    match moment:
        case "check" | "scoring":
            launch.subprocess.Popen = die_in_child({"check": "harness.preflight", "scoring": "harness.scoring"}[moment])
        case "reserved":
            reserved_test.ReservedTest._write_folder = die
        case "training":
            TrainingProgress.take = die_at_step
        case "trained":
            stages.run_scoring = die
        case "result":
            reserved_test.Commit = die
        case _:
            raise ValueError(moment)


arm(sys.argv[1])
sys.argv = ["linbench", *sys.argv[2:]]
main()
