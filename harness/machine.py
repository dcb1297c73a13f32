"""What this machine offers: GPUs and their names, seen without loading torch."""

import os
import shutil
import subprocess


def gpu_names() -> list[str]:
    """The names of the GPUs that this process may use; empty where there are none.

    CUDA_VISIBLE_DEVICES limits them as it limits torch.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        return []
    query = shutil.which("nvidia-smi")
    if query is None:
        return []
    answer = subprocess.run(
        [query, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=60, check=False
    )
    names = [name.strip() for name in answer.stdout.splitlines() if name.strip()] if answer.returncode == 0 else []
    return names if visible is None else names[: len(visible.split(","))]


def default_device() -> str:
    """cuda where there is a GPU, else cpu."""
    return "cuda" if gpu_names() else "cpu"
