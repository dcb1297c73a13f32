"""The command line, run inside the test's own process and as a process of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.cli import main
from sandbox.paths import tasks_dir


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `gpu` where there is no CUDA GPU."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch  # which takes seconds that most tests of the sandbox can do without

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


@dataclass(frozen=True)
class Reply:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The reply to --json: exactly one line, one object, that agrees with the exit code."""
        (line,) = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        assert found["ok"] is (self.code == 0)
        return found


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Waits for a condition that another process brings about; fails after so many seconds, saying what is missing."""

    def wait(condition: Callable[[], bool], seconds: float = 30, missing: str = "it never came about") -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, missing
            time.sleep(0.01)

    return wait


@pytest.fixture
def wait_for_end(wait_until: Callable[..., None]) -> Callable[..., None]:
    """Waits until processes are gone, or zombies that nobody has buried yet."""

    def has_ended(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    return lambda *pids: wait_until(lambda: all(map(has_ended, pids)))


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the data sets of this test session lie."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def runs(tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs folder, which linbench commands in this test and its child processes use."""
    for name in list(os.environ):
        if name.startswith("LINBENCH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LINBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LINBENCH_DATA", str(data_folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path / "runs"


@pytest.fixture
def linbench(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Reply]:
    """Runs `linbench ARGUMENTS`, with bytes or text as its stdin, and gives its reply; never a traceback."""

    def run(*arguments: object, stdin: bytes | str = b"") -> Reply:
        piped = tmp_path / "stdin"
        piped.write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
        monkeypatch.setattr(sys, "argv", ["linbench", *map(str, arguments)])
        capsys.readouterr()
        with piped.open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            with pytest.raises(SystemExit) as ended:
                main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Reply(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def lawless(tmp_path: Path) -> Path:
    """The linear-attention task without a policy and any limit on cost or size.

    For tests of what stops code that a policy would have refused, and of scripts that leave its softmax as it is.
    """
    folder = tmp_path / "lawless"
    shutil.copytree(tasks_dir() / "llm-pretrain-linear-attention", folder)
    file = folder / "task.yaml"
    text, found = re.subn(r"^policy:.*?\n(?=\n)", "policy: null\n", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    text, limits = re.subn(r"^  (subquadratic|exponent_ceiling|parameter_ceiling): .*\n", "", text, flags=re.MULTILINE)
    assert (found, limits) == (1, 3)
    file.write_text(text)
    return folder


@pytest.fixture
def spawn(runs: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts `python PROGRAM ARGUMENTS`, by default linbench itself, with its three streams as pipes."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object, program: Path | None = None) -> "subprocess.Popen[bytes]":
        what = [str(program)] if program else ["-m", "sandbox"]
        process = subprocess.Popen(
            [sys.executable, *what, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(Path(sandbox.__file__).parents[1])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def few_kernel_choices() -> Iterator[None]:
    """Triton times three of each kernel's configurations, evenly spread: dozens take minutes on a cold cache."""
    autotuner = pytest.importorskip("triton.runtime.autotuner").Autotuner
    prune = autotuner.prune_configs

    def choose(self: Any, *arguments: Any) -> list[Any]:
        configs = list(prune(self, *arguments))
        return configs if len(configs) <= 3 else [configs[(2 * i + 1) * len(configs) // 6] for i in range(3)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autotuner, "prune_configs", choose)
        yield
