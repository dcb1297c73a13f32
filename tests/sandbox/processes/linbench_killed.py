"""Run `linbench ARGUMENTS` and die by kill -9 at the moment that argv[1] names; argv[2:] are the arguments.

The moments, in the order of a test: check, reserved, training, trained, scoring, second-seed, result. Or a number:
right before the effect of that number, counted from 0, that the command has on the disk; a write counts twice, its
first half apart.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from harness import launch, stages
from sandbox import reserved_test, seed_run
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


def die_before_effect(number: int) -> None:
    left = [number]

    def count() -> None:
        if left[0] == 0:
            die()
        left[0] -= 1

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*arguments: Any, **options: Any) -> Any:
            count()
            return real(*arguments, **options)

        return effect

    real_write = os.write

    def write_by_halves(handle: int, data: bytes) -> int:
        count()
        half = real_write(handle, data[: len(data) // 2])
        count()
        return half + real_write(handle, data[half:])

    os.fsync, os.replace, os.rename = counted(os.fsync), counted(os.replace), counted(os.rename)
    os.write = write_by_halves


def arm(moment: str) -> None:
    match moment:
        case number if number.isdigit():
            die_before_effect(int(number))
        case "check" | "scoring":
            launch.subprocess.Popen = die_in_child({"check": "harness.preflight", "scoring": "harness.scoring"}[moment])
        case "reserved":
            seed_run.SeedRun._write_folder = die
        case "training":
            TrainingProgress.take = die_at_step
        case "trained":
            stages.run_scoring = die
        case "second-seed":
            real_init = seed_run.SeedRun.__init__

            def init(run: seed_run.SeedRun, *arguments: Any) -> None:
                real_init(run, *arguments)
                if run.seed != run.test.seed:
                    TrainingProgress.take = die_at_step

            seed_run.SeedRun.__init__ = init
        case "result":
            reserved_test.Commit = die
        case _:
            raise ValueError(moment)


arm(sys.argv[1])
sys.argv = ["linbench", *sys.argv[2:]]
main()
