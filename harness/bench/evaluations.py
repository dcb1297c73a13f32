"""How long the metrics beside the validation loss take: `python -m harness.bench.evaluations [PROFILE [DATA]]`.

A whole scoring of the untouched script's untrained model, processes, sandbox and audit included, on the evaluation
sets as they are prepared; DATA is the data set whose tokenizer is used, the profile's own where it is left out.
"""

import sys
import tempfile
import time
from pathlib import Path

import msgspec
import torch

from harness import stages
from harness.bench.scoring import run_folder
from harness.launch import exclusive
from harness.machine import default_device
from harness.profiles import load_profile, resolve

GOAL_SECONDS = 180.0
"""On one H200, for gpt-345m."""


def main() -> None:
    """Print the seconds, and what was measured."""
    name, *data = sys.argv[1:] or [{"cpu": "prose-60m", "cuda": "gpt-345m"}[default_device()]]
    profile = load_profile(name)
    metrics = tuple(metric for metric in profile.metrics if metric != "val_loss")
    profile = msgspec.structs.replace(profile, metrics=metrics, data=(data or [profile.data])[0])
    config = resolve(profile, seed=0, device=default_device())
    with tempfile.TemporaryDirectory() as root:
        folder = run_folder(Path(root), config)[0]
        torch.cuda.empty_cache() if config.device == "cuda" else None
        with exclusive(folder.lock) as lock:
            began = time.monotonic()
            report = stages.run_scoring(folder, config, profile, lock)
            seconds = time.monotonic() - began
    if report.error or report.errors:
        raise SystemExit(f"{report.error or ''} {report.errors or ''}".strip())
    for metric, value in report.metrics.items():
        print(f"{metric:<16}{value:>14,.4f}")
    print(f"{name} on {config.device}: {seconds:.1f} s in all (goal on one H200: at most {GOAL_SECONDS:.0f})")


if __name__ == "__main__":
    main()
