"""The training script on a GPU, where norms, GELU and loss run as linbench's kernels."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from harness.profiles import load_profile, resolve
from harness.run_config import without_paths
from harness.script import load_script

TEMPLATE = Path(__file__).parents[2] / "templates" / "custom_pretrain.py"
pytestmark = pytest.mark.gpu
Settings = Callable[..., SimpleNamespace]


@pytest.fixture
def script() -> Iterator[ModuleType]:
    """The script as a module of its own, whose training replaces nothing in another test."""
    import signal

    before = signal.getsignal(signal.SIGTERM)
    yield load_script(TEMPLATE)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a small run on the GPU over learnable tokens; keyword arguments replace some."""
    (np.random.default_rng(0).integers(0, 5, 40_000).cumsum() % 64).astype("<u2").tofile(tmp_path / "tokens.bin")

    def make(name: str = "run", **changes: Any) -> SimpleNamespace:
        sizes = {
            "vocab_size": 64,
            "n_layer": 3,
            "max_iters": 8,
            "eval_interval": 4,
            "checkpoint_interval": 4,
            "eval_iters": 2,
        }
        config = resolve(load_profile("smoke"), seed=1, device="cuda")
        data = [str(tmp_path / "tokens.bin")]
        files = {"metrics_file": str(tmp_path / f"{name}.jsonl"), "checkpoint_file": str(tmp_path / f"{name}.pt")}
        values = {**without_paths(config), **sizes, "train_files": data, "dev_files": data, **files, **changes}
        return SimpleNamespace(**values)

    return make


def losses(settings: SimpleNamespace) -> list[tuple[float, float]]:
    lines = map(json.loads, Path(settings.metrics_file).read_text().splitlines())
    return [(line["train_loss"], line["val_loss"]) for line in lines]


def test_a_training_runs_on_kernels(script: ModuleType, settings: Settings) -> None:
    """GELU, norm, head and the forward pass are linbench's; the model's answer without targets is still its logits."""
    before = dict(vars(script.Fused))
    training = script.Training(settings())
    changed = {name for name, value in vars(script.Fused).items() if value is not before[name]}
    assert changed == {"gelu", "layer_norm", "head"}
    assert training.model.forward.__module__ == "harness.fused.model"
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        idx = torch.zeros(2, 8, dtype=torch.long, device="cuda")
        assert training.model(idx)[0].shape == (2, 8, 64)


def test_an_attention_may_return_fp32(script: ModuleType, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mechanism that computes in fp32, and a value embedding in fp32, train as any other."""

    class InFloat32(script.CausalSelfAttention):  # type: ignore[misc, name-defined]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cuda", enabled=False):
                y: torch.Tensor = super().forward(x.float())
            return y

    monkeypatch.setattr(script, "CausalSelfAttention", InFloat32)
    value = torch.zeros(8, 128, 128, device="cuda")
    monkeypatch.setattr(script.TokenEmbedding, "get_value_embed", lambda self, layer: value if layer == 1 else None)
    run = settings()
    script.Training(run).run()
    assert losses(run)[-1][1] < losses(run)[0][1]


@pytest.mark.parametrize("gated", [False, True])
def test_a_resumed_run_repeats_itself(
    script: ModuleType, settings: Settings, gated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four steps, and four more from their checkpoint, give the losses of eight, digit for digit; so they do where maps
    share their input and its gradients are added up together."""

    class Gated(script.CausalSelfAttention):  # type: ignore[misc, name-defined]
        def __init__(self, config: Any):
            super().__init__(config)
            self.gates = torch.nn.ModuleList(torch.nn.Linear(config.n_embd, config.n_embd) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = super().forward(x)
            for gate in self.gates:
                y = y * gate(x).sigmoid()
            return y

    if gated:
        monkeypatch.setattr(script, "CausalSelfAttention", Gated)
    whole, halves = settings("whole"), settings("halves")
    script.Training(whole).run()
    script.Training(SimpleNamespace(**{**vars(halves), "max_iters": 4})).run()
    script.Training(halves).run()
    assert losses(halves) == losses(whole)


def test_fusing_changes_the_loss_by_rounding_alone(
    script: ModuleType, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without the kernels ends at the loss of one with them, within a thousandth."""
    fused, plain = settings("fused"), settings("plain")
    script.Training(fused).run()
    without = load_script(TEMPLATE)
    monkeypatch.setattr(without.Fused, "use_kernels", lambda model: None)
    without.Training(plain).run()
    assert np.allclose(losses(fused), losses(plain), atol=1e-3)


def test_an_attention_may_differentiate_through_a_norm(
    script: ModuleType, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mechanism may differentiate twice through the script's norm."""

    class Inner(script.CausalSelfAttention):  # type: ignore[misc, name-defined]
        def __init__(self, config: Any):
            super().__init__(config)
            self.norm = script.LayerNorm(config.n_embd, False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = x.detach().float().requires_grad_()
            with torch.enable_grad():
                energy = self.norm(inner).float().square().mean() * self.norm.weight.sum()
                (slope,) = torch.autograd.grad(energy, inner, create_graph=True)
            y: torch.Tensor = super().forward(x) + slope.to(x.dtype)
            return y

    monkeypatch.setattr(script, "CausalSelfAttention", Inner)
    run = settings()
    script.Training(run).run()
    assert losses(run)[-1][1] < losses(run)[0][1]
