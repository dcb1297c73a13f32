"""Which GPUs a process may use, as nvidia-smi lists them."""

import os
from pathlib import Path

import pytest

from harness.machine import default_device, gpu_names


@pytest.fixture
def three_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with GPUs A, B and C."""
    query = tmp_path / "nvidia-smi"
    query.write_text("#!/bin/sh\nprintf 'GPU-1a, A\\nGPU-2b, B\\nGPU-3c, C\\n'\n")
    query.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return query


@pytest.mark.parametrize(
    ("visible", "names"),
    [("0", "A"), ("2,0", "CA"), ("GPU-2b", "B"), ("GPU-3, 1", "CB"), ("0,-1,1", "A"), ("0,7,1", "A")],
)
def test_visible_devices_choose_and_order(
    three_gpus: Path, monkeypatch: pytest.MonkeyPatch, visible: str, names: str
) -> None:
    """Numbers and beginnings of UUIDs choose GPUs in their order, up to the first that does not exist."""
    assert gpu_names() == ["A", "B", "C"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_names() == list(names)
    assert default_device() == "cuda"


@pytest.mark.parametrize("visible", ["", "-1", "NoDevFiles"])
def test_hidden_devices_leave_the_cpu(three_gpus: Path, monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    """Where every GPU is hidden, the CPU is the device."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert default_device() == "cpu"


def test_a_driver_that_does_not_answer_offers_no_gpu(three_gpus: Path) -> None:
    """nvidia-smi's error text is no GPU."""
    three_gpus.write_text("#!/bin/sh\necho 'has failed because it could not communicate with the driver'; exit 9\n")
    assert gpu_names() == []


def test_a_machine_without_the_tool_has_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No nvidia-smi on the path, no GPU."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert default_device() == "cpu"
