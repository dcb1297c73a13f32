"""`linbench warm`: fill the shared cache of compiled kernels with those of the mechanisms that ship.

First all at once, since compiling keeps one core busy and the GPU idle; then one after the other, since which variant
of a kernel is fastest shows only on a GPU that has nothing else to do.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from harness.bytecode import compile_once
from harness.kernel_cache import exclusive, shared_cache, variables
from harness.launch import child_environment, python_module
from harness.run_config import RunConfig
from sandbox.bench_report import request_for
from sandbox.errors import MachineFault, UsageError
from sandbox.figures import duration
from sandbox.report import Facts, Heading, Report, Table

STAGES = ("training", "preflight")
"""What is warmed of each mechanism; the tiny model of a preflight has kernels of its own."""
CROWDED = 8
"""The first pass has so much smaller micro-batches, so that all mechanisms fit on the GPU together."""
CHOICES = "*.autotune.json"
"""The files in which Triton keeps how fast each variant of a kernel was."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """One mechanism, before and after."""

    mechanism: str
    compiling: float
    """Seconds of the first pass's training, which ran beside others."""
    tuning: float
    """Seconds of the second pass, alone."""
    error: str | None
    """Its last words where it cannot run on this machine; None where all went well."""


def warm_report(keys: Sequence[str], config: RunConfig, say: Callable[[str], None]) -> Report:
    """Fill the cache. Raises UsageError on a machine without a GPU, MachineFault where no mechanism ran."""
    if config.device != "cuda":
        raise UsageError("only kernels of a GPU are compiled, and this machine has none.", run="linbench profiles")
    cache = shared_cache(config.device)
    rows = warm(keys, config, cache, say)
    if all(row.error for row in rows):
        raise MachineFault(f"no mechanism ran; the last one: {rows[-1].error}")
    columns = ("mechanism", "compiling", "tuning", "state")
    shown = tuple((row.mechanism, duration(row.compiling), duration(row.tuning), row.error or "warm") for row in rows)
    size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    facts = (("cache", str(cache)), ("size", f"{size / 2**20:,.0f} MiB"))
    data = {"cache": str(cache), "bytes": size, "rows": [asdict(row) for row in rows]}
    return Report(data, (Heading("Compiled kernels"), Table(columns, shown, frozenset(columns[1:3])), Facts(facts)))


def warm(keys: Sequence[str], config: RunConfig, cache: Path, say: Callable[[str], None]) -> list[Warmed]:
    """Both passes, into `cache`; a second process that warms it waits."""
    environment = child_environment(config.device) | variables(cache)
    crowded = msgspec.structs.replace(config, micro_batch_size=max(1, config.micro_batch_size // CROWDED))
    with exclusive(cache.with_name(f"{cache.name}.lock")), tempfile.TemporaryDirectory() as folder:
        known = set(cache.rglob(CHOICES))
        compile_once()
        say(f"compiling {', '.join(keys)}")
        jobs = [(_request(key, crowded, Path(folder)), stage) for key in keys for stage in STAGES]
        with ThreadPoolExecutor(min(len(jobs), os.cpu_count() or 1)) as pool:
            compiled = list(pool.map(lambda job: warm_child(job[0], job[1], environment), jobs))
        for choice in set(cache.rglob(CHOICES)) - known:
            choice.unlink()
        return [
            _tune(key, _request(key, config, Path(folder)), compiled[number * len(STAGES)][0], environment, say)
            for number, key in enumerate(keys)
        ]


def _tune(key: str, request: Path, compiling: float, environment: dict[str, str], say: Callable[[str], None]) -> Warmed:
    """The second pass of one mechanism, which ends at its first error."""
    tuning, error = 0.0, None
    for stage in STAGES:
        say(f"tuning {key}: {stage}")
        seconds, error = warm_child(request, stage, environment)
        tuning += seconds
        if error is not None:
            say(f"{key} does not run here: {error}")
            break
    return Warmed(key, compiling, tuning, error)


def _request(key: str, config: RunConfig, folder: Path) -> Path:
    file = folder / f"{key}-{config.micro_batch_size}.json"
    file.write_bytes(msgspec.json.encode(request_for([key], config)))
    return file


def warm_child(request: Path, stage: str, environment: dict[str, str]) -> tuple[float, str | None]:
    """Wall time of one warming process, and its last words if it failed."""
    began = time.monotonic()
    command = python_module("harness.warm", str(request), stage)
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
    return time.monotonic() - began, last if ended.returncode else None
