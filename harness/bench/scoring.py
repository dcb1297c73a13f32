"""Scoring speed against the bare forward pass over full windows: `python -m harness.bench.scoring [PROFILE]`.

Windows, all of whose logits are wanted, and passages, of which some are; of a model in this process, and of one in a
sandboxed process of its own, as a test is scored.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from harness.files import temporary_folder
from harness.precision import autocast
from harness.profiles import load_profile, resolve
from harness.run_config import RunConfig
from harness.run_folder import RunFolder
from harness.run_sandbox import model_sandbox
from harness.scoring.loss import validation_loss
from harness.scoring.model_process import ModelFiles
from harness.scoring.passages import Passage, score_passages
from harness.scoring.remote_model import RemoteModel
from harness.scoring.weights import read_weights
from harness.script import load_script

GOALS = {"windows": 1.5, "passages": 2.5}
"""In a process of its own, scoring takes at most so many times as long, a token, as a forward pass over windows."""
TOKENS = {"cpu": 10_000, "cuda": 2_000_000}
"""Tokens that are scored."""
ROUNDS = 3
TEMPLATE = Path(__file__).parents[2] / "templates" / "custom_pretrain.py"


def best_seconds(step: Callable[[], object], device: str) -> float:
    """The shortest of a few rounds after one that warms up."""
    times = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def passages(block_size: int, vocab_size: int, tokens: int) -> list[Passage]:
    """Lengths around 100 tokens as in LAMBADA and HellaSwag, the last 20 of each to be predicted."""
    dice, found = random.Random(0), []
    while tokens > 0:
        length = min(max(24, round(dice.lognormvariate(4.4, 0.5))), block_size)
        found.append(Passage([dice.randrange(vocab_size) for _ in range(length + 1)], 20))
        tokens -= length
    return found


def run_folder(root: Path, config: RunConfig) -> tuple[RunFolder, Any]:
    """The untouched script with a checkpoint of its untrained model, and that model."""
    folder = RunFolder(root)
    folder.source.write_bytes(TEMPLATE.read_bytes())
    folder.run.write_bytes(msgspec.json.encode(config))
    script = load_script(folder.source)
    model = script.build_model(script.load_settings(str(folder.run)))
    torch.save({"model": model.state_dict(), "step": 0}, folder.checkpoint)
    return folder, model.to(config.device).eval()


def speeds(model: Any, config: RunConfig, tokens: int) -> dict[str, float]:
    """Tokens a second of windows and of passages."""
    size, batch, device, dtype = config.block_size, config.micro_batch_size, config.device, config.dtype
    count = batch * max(2, tokens // (size * batch))
    windows_WT = np.random.default_rng(0).integers(config.vocab_size, size=(count, size + 1)).astype("<u2")
    mixed = passages(size, config.vocab_size, tokens)
    settings: Any = {"block_size": size, "tokens_per_batch": size * batch, "device": device, "dtype": dtype}
    steps = {
        "windows": (count * size, lambda: validation_loss(model, windows_WT, batch, device, dtype)),
        "passages": (sum(passage.inputs for passage in mixed), lambda: score_passages(model, mixed, **settings)),
    }
    return {name: amount / best_seconds(step, device) for name, (amount, step) in steps.items()}


def in_this_process(root: Path, config: RunConfig) -> tuple[RunFolder, float, dict[str, float]]:
    """The run folder, and tokens a second of the bare forward pass and of scoring; the model is gone afterwards."""
    folder, model = run_folder(root, config)
    windows_BT = torch.randint(config.vocab_size, (config.micro_batch_size, config.block_size), device=config.device)

    @torch.no_grad()
    def forward() -> None:
        with autocast(config.device, config.dtype):
            model(windows_BT)

    bare = windows_BT.numel() / best_seconds(forward, config.device)
    return folder, bare, speeds(model, config, TOKENS[config.device])


def in_its_own(folder: RunFolder, config: RunConfig) -> tuple[float, dict[str, float]]:
    """Seconds until a sandboxed process has loaded the model, and tokens a second of scoring it there."""
    with temporary_folder() as private, read_weights(folder.checkpoint) as weights:
        files = ModelFiles(
            source=folder.source,
            run=folder.run,
            weights=weights,
            config=config,
            confinement=model_sandbox(folder, config, None, private),
            kernels=folder.kernels,
            answer_seconds=600,
            deadline=time.monotonic() + 3600,
        )
        with RemoteModel(files) as remote:
            began = time.perf_counter()
            remote.load()
            return time.perf_counter() - began, speeds(remote, config, TOKENS[config.device])


def main() -> None:
    """Print tokens a second, and how many times as long as the bare forward pass that is."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = sys.argv[1] if len(sys.argv) > 1 else {"cpu": "smoke", "cuda": "gpt-345m"}[device]
    config = resolve(load_profile(name), seed=0, device=device)
    with tempfile.TemporaryDirectory() as root:
        folder, bare, here = in_this_process(Path(root), config)
        loaded, there = in_its_own(folder, config)
    print(f"{name} on {device}, {TOKENS[device]:,} tokens, best of {ROUNDS}; its process loads in {loaded:.1f} s")
    print(f"{'forward pass':<28}{bare:>14,.0f} tokens/s")
    for what, goal in GOALS.items():
        print(f"{what + ', in this process':<28}{here[what]:>14,.0f} tokens/s{bare / here[what]:>8.2f} x the time")
        ratio = bare / there[what]
        print(
            f"{what + ', in its own':<28}{there[what]:>14,.0f} tokens/s{ratio:>8.2f} x the time (goal: at most {goal})"
        )


if __name__ == "__main__":
    main()
