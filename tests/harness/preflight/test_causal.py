"""The causality probe, on the real training script with one thing changed."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch

from harness.preflight.causal import NotCausal, check_causality, lengths, starts
from harness.preflight.found import Found
from harness.profiles import load_profile, resolve

TEMPLATE = Path(__file__).parents[3] / "templates" / "custom_pretrain.py"
RETURN = "return self.resid_dropout(self.c_proj(y))"

Probe = Callable[..., Found]


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    """Probes the template with a string replaced, at toy sizes."""
    torch.set_num_threads(1)

    def run(old: str = RETURN, new: str = RETURN, **settings: Any) -> Found:
        text = TEMPLATE.read_text()
        assert old in text
        script = ModuleType("probed")
        monkeypatch.setitem(sys.modules, "probed", script)
        exec(text.replace(old, new, 1), script.__dict__)
        config = msgspec.to_builtins(resolve(load_profile("smoke"), seed=1, device="cpu"))
        chosen = SimpleNamespace(**{**config, "n_layer": 2, "n_embd": 32, **settings})
        return check_causality(script.build_model(chosen), chosen)

    return run


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.5}, {"block_size": 2}, {"block_size": 33}])
def test_the_untouched_script_is_causal(probe: Probe, settings: dict[str, Any]) -> None:
    """Dropout, which draws the same for both, and short windows raise no alarm."""
    found = probe(**settings)
    assert found.figures["largest_change"] == 0
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("is_causal=True", "is_causal=False", "in training mode, changing the tokens from position"),
        ("is_causal=True", "is_causal=self.training", "in evaluation mode"),
        (RETURN, "return self.c_proj(y) + 1e-2 * x.mean(dim=1, keepdim=True)", "changes the logits at position"),
        (RETURN, "return self.c_proj(y.roll(-1, 1))", "from position 1 on changes the logits at position 0"),
        (RETURN, "return self.c_proj(y.flip(1).cumsum(1).flip(1))", "no position may see a later one"),
        (
            RETURN,
            "y = self.c_proj(y); return torch.cat([y[:, :-2], y[:, -2:-1] + y[:, -1:], y[:, -1:]], 1)",
            "from position 127 on changes the logits at position 126",
        ),
        (
            RETURN,
            "return self.c_proj(y) + 1e-2 * x.mean(dim=0, keepdim=True)",
            "changing another sequence of the batch",
        ),
        (RETURN, "return self.c_proj(F.batch_norm(y.mT, None, None, training=True).mT)", "another sequence"),
    ],
    ids=["softmax", "evaluation only", "mean", "shift", "sum from the right", "last position", "batch", "batch norm"],
)
def test_a_model_that_sees_the_future_is_refused(probe: Probe, old: str, new: str, said: str) -> None:
    """The refusal names the mode, the tokens that were changed and the logit that saw it."""
    with pytest.raises(NotCausal, match=said):
        probe(old, new)


def test_a_leak_behind_a_projection_of_zeros_is_found(probe: Probe) -> None:
    """Weights are disturbed first: a path that begins at zero would open while the model trains."""
    leak = "if not hasattr(self, 'gate'): pass\n        return self.c_proj(y) + self.gate * x.mean(dim=1, keepdim=True)"
    text = TEMPLATE.read_text().replace(RETURN, leak, 1)
    gated = text.replace("self.use_pos_emb = True", "self.gate = nn.Parameter(torch.zeros(32))", 1)
    assert gated != text
    with pytest.raises(NotCausal):
        probe(TEMPLATE.read_text(), gated)


def test_the_full_window_and_an_uneven_one_are_tried() -> None:
    """Changes begin on both sides of every usual chunk edge, in windows that a chunk divides and in others."""
    assert lengths(128) == [128, 100]
    assert lengths(1024) == [1024, 200]
    assert lengths(2) == [2]
    assert {1, 15, 16, 17, 63, 64, 65, 127} <= set(starts(128))
    assert {1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 512, 1023} <= set(starts(1024))
    assert starts(2) == [1]


def test_a_mechanism_that_takes_whole_windows_alone_is_warned_about(probe: Probe) -> None:
    """Shorter windows than block_size are scoring's wish and no rule: a script that cannot read them is not refused."""
    found = probe(RETURN, f"y = y.view(B, T // 64, 64, C).view(B, T, C)\n        {RETURN}")
    assert len(found.warnings) == 1
    assert "windows of 100 tokens, which scoring may ask for, fail" in found.warnings[0]
