"""The harness's hash and the environment that a result was made in."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import msgspec
import pytest

from harness.environment import Environment, environment, harness_sha256


def test_the_harness_hash_is_of_paths_and_contents_and_of_nothing_else(tmp_path: Path) -> None:
    """A changed byte, a moved and an added file change it; compiled files and times do not."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / "inner" / "b.yaml").write_text("b: 2\n")
    before = harness_sha256(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    os.utime(tmp_path / "a.py", (0, 0))
    assert harness_sha256(tmp_path) == before
    (tmp_path / "inner" / "b.yaml").write_text("b: 3\n")
    changed = harness_sha256(tmp_path)
    (tmp_path / "inner" / "b.yaml").rename(tmp_path / "b.yaml")
    assert len({before, changed, harness_sha256(tmp_path)}) == 3


def test_the_environment_states_installed_versions_and_loads_none_of_them() -> None:
    """Versions are the packages' own, and reading them imports neither torch nor numpy."""
    found = environment("cpu")
    assert (found.torch, found.numpy) == (metadata.version("torch"), metadata.version("numpy"))
    assert (found.gpus, found.driver) == (None, None)
    code = (
        "import sys, harness.environment as e; e.environment('cpu'); print(sorted({'torch', 'numpy'} & {*sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_gpus_and_their_driver_are_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on cuda names GPUs and driver; its hash changes with them, and survives JSON."""
    query = tmp_path / "nvidia-smi"
    query.write_text(
        '#!/bin/sh\ncase "$1" in *driver*) echo 580.1; echo 580.1;; *) echo "GPU-1, A"; echo "GPU-2, B";; esac\n'
    )
    query.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = environment("cuda")
    assert (found.gpus, found.driver) == ("A, B", "580.1")
    assert found.sha256 != environment("cpu").sha256
    again = msgspec.json.decode(msgspec.json.encode(found), type=Environment)
    assert again.sha256 == found.sha256
