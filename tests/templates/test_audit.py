"""Every mechanism that ships passes the audit of a score: no false alarm, and with room to spare."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.scoring.audit import MOST, ROUNDING, plan
from harness.scoring.audited_loss import Windows, first_pass, second_pass
from harness.script import define_script

TEMPLATES = Path(__file__).parents[2] / "templates"
ROOM = {"float32": 10, "bfloat16": 9}
"""How far below: a residual stream in bf16 rounds between the layers too."""
MECHANISMS = sorted(path.stem for path in (TEMPLATES / "attention").glob("*.py"))


@pytest.fixture(autouse=True)
def _fla_on_a_cpu() -> None:
    """The models of this test are on the CPU, whatever the machine has."""
    from harness.fla_cpu import install

    install()


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_mechanism_passes_the_audit(name: str) -> None:
    """Weights that make every path matter, in both precisions: changes stay far below what is rounding."""
    lines = (TEMPLATES / "custom_pretrain.py").read_text().split("\n")
    region = (TEMPLATES / "attention" / f"{name}.py").read_text().rstrip("\n").split("\n")
    script = define_script("\n".join([*lines[:32], *region, *lines[70:]]), name)
    torch.manual_seed(1)
    model = script.GPT(script.GPTConfig(block_size=96, vocab_size=64, n_layer=2, n_head=2, n_embd=64)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)
    tokens_WT = np.random.default_rng(0).integers(64, size=(12, 97)).astype("<u2")
    for dtype in ("float32", "bfloat16"):
        windows = Windows(tokens_WT, plan(3, 12, 96, 6), 6, "cpu", dtype)
        _, first = first_pass(model, windows)
        found = second_pass(model, windows, first).judge()
        assert (found.repeated, found.probed) == (12, 12 + 2 * 6)
        assert max(found.change_repeated, found.change_probed) < ROUNDING[dtype] / ROOM[dtype] < MOST[dtype]
