"""Every mechanism of the library against the rules of the linear-attention task."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.preflight.found import CheckFailed
from harness.preflight.preflight import Preflight
from harness.preflight.report import Rules

KEYS = sorted(path.stem for path in (Path(__file__).parents[3] / "templates" / "attention").glob("*.py"))
QUADRATIC = {"mha", "mqa", "gqa", "mla"}
RULES = Rules(causal=True, exponent=1.4)


@pytest.mark.parametrize("key", KEYS)
def test_a_drop_in_passes_unless_it_is_softmax(preflight: Callable[..., Preflight], key: str) -> None:
    """No false alarm: only softmax over the whole sequence is refused, and for its cost alone."""
    checks = preflight(key, rules=RULES, block_size="72")
    if key in QUADRATIC:
        with pytest.raises(CheckFailed):
            checks.run_all()
        assert checks.current == "subquadratic"
    else:
        checks.run_all()
        assert checks.warnings == []


@pytest.mark.gpu
@pytest.mark.parametrize("key", KEYS)
def test_a_drop_in_passes_on_a_gpu_at_full_width(preflight: Callable[..., Preflight], key: str) -> None:
    """In bf16 and at gpt-345m's width, with two workers on one GPU; softmax is refused for its cost."""
    from harness.preflight.report import Room

    sizes = {"n_embd": "1024", "n_head": "16", "n_layer": "24", "block_size": "1024", "vocab_size": "50304"}
    device = {"device": "cuda", "dtype": "bfloat16", "micro_batch_size": "8"}
    checks = preflight(key, rules=RULES, room=Room(published_workers=2, halve_micro_batch=True), **sizes, **device)
    if key in QUADRATIC:
        with pytest.raises(CheckFailed):
            checks.run_all()
        assert checks.current == "subquadratic"
    else:
        checks.run_all()
    for check in checks.checks:
        print(f"{key}: {check.name}: {check.detail}")
