"""All attempts, several at a time: each that runs code in a process of its own, which it cannot take along."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import msgspec

from harness.launch import python_module
from sandbox.selftest.attempt import Attempt
from sandbox.selftest.effects import changes, snapshot
from sandbox.selftest.run import run
from sandbox.selftest.verdict import Verdict

SECONDS = 600.0
"""After which an attempt has held its command for too long, whatever its limits."""

ABREAST = 4
"""Attempts at one time, at most."""


def run_all(attempts: Sequence[Attempt], isolation: str, say: Callable[[Verdict], None]) -> list[Verdict]:
    """The verdicts in the order of the attempts; `say` hears each when it is there."""
    found: dict[str, Verdict] = {}
    processes = min(ABREAST, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory(prefix="linbench-selftest-data-") as data, ThreadPoolExecutor(processes) as pool:
        for attempt in attempts:
            if attempt.only_edits:
                found[attempt.name] = run(attempt, isolation, Path(data))
                say(found[attempt.name])
        others = [attempt for attempt in attempts if not attempt.only_edits]
        waiting = [pool.submit(_in_a_process, attempt, isolation, Path(data)) for attempt in others]
        for done in as_completed(waiting):
            verdict = done.result()
            found[verdict.name] = verdict
            say(verdict)
    return [found[attempt.name] for attempt in attempts]


def _in_a_process(attempt: Attempt, isolation: str, data: Path) -> Verdict:
    """The verdict of a child process; one that is gone or silent was ended or held by the attempt."""
    command = python_module(__package__, attempt.name, isolation, str(data))
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        said = f"it held its command for {SECONDS:.0f} seconds"
        return Verdict(attempt.name, attempt.stopped_by, None, said, SECONDS)
    if ended.returncode != 0:
        said = f"its command ended with {ended.returncode}: {ended.stderr[-2000:].strip()}"
        return Verdict(attempt.name, attempt.stopped_by, None, said)
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=Verdict)


class Elsewhere:
    """What has to stay as it is while all attempts run: linbench itself and the operator's own sessions and data."""

    def __init__(self, folders: Sequence[Path]):
        self.folders = [folder for folder in folders if folder.is_dir()]
        self.before = snapshot(self.folders)

    def changed(self) -> list[str]:
        """The paths that are no longer what they were."""
        return changes(self.before, snapshot(self.folders))
