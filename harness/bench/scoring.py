"""Scoring speed against the bare forward pass over full windows: `python -m harness.bench.scoring [PROFILE]`."""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch

from harness.precision import autocast
from harness.profiles import load_profile, resolve
from harness.scoring.passages import Passage, score_passages
from harness.script import load_script

GOAL = 2.5
"""Scoring passages of mixed lengths takes at most so many times as long, a token, as a forward pass over windows."""
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


def main() -> None:
    """Print tokens a second of both, and their ratio."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = sys.argv[1] if len(sys.argv) > 1 else {"cpu": "smoke", "cuda": "gpt-345m"}[device]
    config = resolve(load_profile(name), seed=0, device=device)
    script = load_script(TEMPLATE)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(msgspec.json.encode(config).decode())
        file.flush()
        model: Any = script.build_model(script.load_settings(file.name)).to(device).eval()
    size, batch = config.block_size, config.micro_batch_size
    mixed = passages(size, config.vocab_size, TOKENS[device])
    windows_BT = torch.randint(config.vocab_size, (batch, size), device=device)
    settings: Any = {"block_size": size, "tokens_per_batch": size * batch, "device": device, "dtype": config.dtype}

    @torch.no_grad()
    def forward() -> None:
        with autocast(device, config.dtype):
            model(windows_BT)

    bare = windows_BT.numel() / best_seconds(forward, device)
    real = sum(passage.inputs for passage in mixed)
    scored = real / best_seconds(lambda: score_passages(model, mixed, **settings), device)
    print(f"{name} on {device}, {real:,} tokens in {len(mixed):,} passages, best of {ROUNDS} (goal: at most {GOAL})")
    print(f"{'forward pass':<16}{bare:>14,.0f} tokens/s")
    print(f"{'scoring':<16}{scored:>14,.0f} tokens/s{bare / scored:>8.2f} x the time")


if __name__ == "__main__":
    main()
