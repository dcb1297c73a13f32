"""The training script on a GPU, where norms and loss run as compiled kernels."""

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
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")]
Settings = Callable[..., SimpleNamespace]


@pytest.fixture
def script() -> Iterator[ModuleType]:
    """The script as a module of its own, whose training compiles nothing for another test."""
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


def test_fused_parts_compute_what_they_say(script: ModuleType, settings: Settings) -> None:
    """Norm and loss as a training runs them agree with the plain functions in value and gradients, in their dtypes."""
    plain = {name: getattr(script.Fused, name) for name in ("layer_norm", "cross_entropy")}
    model = script.Training(settings()).model
    fused = {"layer_norm": model.ln_f.fused, "cross_entropy": script.Fused.cross_entropy}
    x_BTC = torch.randn(4, 128, 128, device="cuda")
    targets_N = torch.randint(128, (512,), device="cuda")
    found = []
    for functions in (plain, fused):
        leaf_BTC, weight_C = x_BTC.clone().requires_grad_(), torch.rand(128, device="cuda", requires_grad=True)
        with torch.no_grad():
            weight_C.copy_(torch.linspace(0.5, 1.5, 128))
        with torch.autocast("cuda", torch.bfloat16):
            y_BTC = functions["layer_norm"](leaf_BTC, weight_C, None)
            loss = functions["cross_entropy"](y_BTC.flatten(0, 1), targets_N)
        loss.backward()
        assert (y_BTC.dtype, loss.dtype) == (torch.bfloat16, torch.float32)
        found.append((loss.detach(), y_BTC.detach().float(), leaf_BTC.grad.float(), weight_C.grad))
    assert all(fused[name] is not plain[name] for name in plain)
    for expected, actual in zip(*found, strict=True):
        assert (actual - expected).norm() <= 4e-3 * expected.norm()


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


def test_a_resumed_run_repeats_itself(script: ModuleType, settings: Settings) -> None:
    """Four steps, and four more from their checkpoint, give the losses of eight, digit for digit."""
    whole, halves = settings("whole"), settings("halves")
    script.Training(whole).run()
    script.Training(SimpleNamespace(**{**vars(halves), "max_iters": 4})).run()
    script.Training(halves).run()
    assert losses(halves) == losses(whole)


def test_fusing_changes_the_loss_by_rounding_alone(
    script: ModuleType, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose kernels could not be compiled ends at the loss of one whose kernels were, within a thousandth."""
    fused, plain = settings("fused"), settings("plain")
    script.Training(fused).run()
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    load_script(TEMPLATE).Training(plain).run()
    assert np.allclose(losses(fused), losses(plain), atol=1e-3)


def test_a_norm_inside_attention_is_left_alone(
    script: ModuleType, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mechanism may differentiate twice through the script's norm, which a compiled one does not allow."""

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
