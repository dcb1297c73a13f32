"""What every child process does before it runs a script."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import harness


def run_script(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(code)
    root = str(Path(harness.__file__).parents[1])
    command = [sys.executable, "-P", "-m", "harness.child", str(folder / "script.py"), "one", "two"]
    told = {"PATH": os.environ["PATH"], "PYTHONPATH": root, **environment}
    return subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, timeout=60)


def test_the_script_runs_as_main_with_its_own_arguments(tmp_path: Path) -> None:
    """A script finds itself as __main__, its arguments behind its own path, and cannot import from its folder."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    code = "import sys; print(__name__, sys.argv[1:], sys.argv[0] == __file__); import numpy; numpy.zeros(1)"
    ended = run_script(tmp_path, code)
    assert (ended.returncode, ended.stdout) == (0, "__main__ ['one', 'two'] True\n"), ended.stderr


def test_a_child_whose_parent_has_died_already_does_not_begin(tmp_path: Path) -> None:
    """A child that finds another parent than the one that started it ends before the script."""
    assert run_script(tmp_path, "", LINBENCH_PARENT=str(os.getpid())).returncode == 0
    ended = run_script(tmp_path, "open('begun', 'w')", LINBENCH_PARENT="1")
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "begun").exists()


def test_fla_runs_on_a_cpu_only_where_the_device_is_one(tmp_path: Path) -> None:
    """The backend for FLA without a GPU is in place on a CPU, and nothing of it on a GPU; neither loads torch."""
    code = "import sys; print([type(finder).__name__ for finder in sys.meta_path][0], 'torch' in sys.modules)"
    assert run_script(tmp_path, code, LINBENCH_DEVICE="cpu").stdout == "FlaFinder False\n"
    assert "FlaFinder" not in run_script(tmp_path, code, LINBENCH_DEVICE="cuda").stdout


def test_the_validation_text_of_pydocs_cannot_be_imported(tmp_path: Path) -> None:
    """A script that asks for the module that scoring takes its text from is refused, by either name."""
    for name in ("pydoc_data", "pydoc_data.topics"):
        ended = run_script(tmp_path, f"import {name}")
        assert ended.returncode == 1
        assert "ModuleNotFoundError" in ended.stderr
