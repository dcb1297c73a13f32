"""What this machine offers: GPUs and their names, seen without loading torch."""

import os
import shutil
import subprocess
from itertools import takewhile


def gpu_names() -> list[str]:
    """The names of the GPUs that this process may use, in its order; empty where there are none.

    CUDA_VISIBLE_DEVICES, numbers or UUIDs, limits them as it limits torch: up to the first that does not exist.
    """
    query = shutil.which("nvidia-smi")
    if query is None:
        return []
    answer = subprocess.run(
        [query, "--query-gpu=uuid,name", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    rows = [line.partition(",") for line in answer.stdout.splitlines()] if answer.returncode == 0 else []
    gpus = [(uuid.strip(), name.strip()) for uuid, _, name in rows]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [name for _, name in gpus]
    chosen = [_find(gpus, wanted.strip()) for wanted in visible.split(",")]
    return list(takewhile(bool, chosen))


def _find(gpus: list[tuple[str, str]], wanted: str) -> str:
    """The name of one GPU, given by number or by the beginning of its UUID; empty when there is none."""
    if wanted.isdecimal():
        return gpus[int(wanted)][1] if int(wanted) < len(gpus) else ""
    return next((name for uuid, name in gpus if wanted and uuid.startswith(wanted)), "")


def default_device() -> str:
    """cuda where there is a GPU, else cpu."""
    return "cuda" if gpu_names() else "cpu"
