"""How a run is spread over processes, and how its end becomes one exit code."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.stages import Placement
from harness.torchrun import cause

SOURCE, RUN = Path("runs/s1/tests/3/source.py"), Path("runs/s1/tests/3/run.json")


def test_one_gpu_is_one_process() -> None:
    """Without others to share with, there is no torchrun."""
    assert Placement().command(SOURCE, RUN) == [
        *(sys.executable, "-P", "-m", "harness.child"),
        *(str(SOURCE), str(RUN)),
    ]


def test_several_gpus_are_workers_of_one_torchrun() -> None:
    """One worker a GPU, no restarts, and no rendezvous beyond this machine."""
    assert Placement(4).command(SOURCE, RUN) == [
        *(sys.executable, "-P", "-m", "harness.torchrun"),
        *("--standalone", "--nproc-per-node=4", "--max-restarts=0", "-m", "harness.child"),
        *(str(SOURCE), str(RUN)),
    ]


def test_several_machines_meet_at_an_endpoint_under_the_name_of_the_test() -> None:
    """The same command on each machine; the test, with its further seed, is the rendezvous's id."""
    options = Placement(2, nodes=3, endpoint="host:29400").command(SOURCE, RUN)[4:]
    assert options[:4] == ["--nnodes=3", "--rdzv-backend=c10d", "--rdzv-endpoint=host:29400", "--rdzv-id=s1-3"]
    assert "--nproc-per-node=2" in options
    assert "--standalone" not in options
    second = Placement(2, nodes=3, endpoint="host:29400").command(SOURCE, RUN.parent / "seed-43" / RUN.name)
    assert "--rdzv-id=s1-3-seed-43" in second


KILLED, SAVED = -signal.SIGKILL, 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([(1, 100), (KILLED, 100)], KILLED),  # the first one only lost its connection to the second
        ([(KILLED, 100), (1, 101)], KILLED),
        ([(KILLED, 130), (1, 100)], 1),  # killed by torchrun, for it hung
        ([(SAVED, 101), (1, 100)], 1),
        ([(SAVED, 100), (SAVED, 100)], SAVED),
    ],
)
def test_the_cause_is_the_worker_that_took_the_others_with_it(ends: list[tuple[int, int]], expected: int) -> None:
    """A kill from outside goes before failures of the same moment, but not before earlier ones."""
    failures = [SimpleNamespace(exitcode=exitcode, timestamp=timestamp) for exitcode, timestamp in ends]
    assert cause(failures) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [KILLED, -signal.SIGTERM, -signal.SIGSEGV, SAVED, 1])
def test_a_process_ends_as_another_one_did(code: int) -> None:
    """By the same signal, or with the same code."""
    program = f"from harness.torchrun import exit_like; exit_like({code})"
    assert (
        subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False).returncode == code
    )
