"""FLA's own layers on CPU tensors: they train, are causal, and agree in training, evaluation and under autocast."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.fla_cpu import UnsupportedOption

WIDTH = 32
HEADS: dict[str, Any] = {"hidden_size": WIDTH, "num_heads": 2}
LAYERS: dict[str, dict[str, Any]] = {
    "gla.GatedLinearAttention": HEADS,
    "delta_net.DeltaNet": HEADS,
    "gated_deltanet.GatedDeltaNet": {**HEADS, "head_dim": 16},
    "gated_deltaproduct.GatedDeltaProduct": {**HEADS, "head_dim": 16},
    "multiscale_retention.MultiScaleRetention": HEADS,
    "simple_gla.SimpleGatedLinearAttention": HEADS,
    "linear_attn.LinearAttention": HEADS,
    "hgrn.HGRNAttention": {"hidden_size": WIDTH},
    "hgrn2.HGRN2Attention": {"hidden_size": WIDTH, "expand_ratio": 16},
    "mamba2.Mamba2": {"hidden_size": WIDTH, "head_dim": 16, "state_size": 16},
    "rwkv7.RWKV7Attention": {"hidden_size": WIDTH, "head_dim": 16, "layer_idx": 0, "num_hidden_layers": 2},
    "kda.KimiDeltaAttention": {**HEADS, "head_dim": 16},
    "nsa.NativeSparseAttention": {
        "hidden_size": WIDTH, "num_heads": 16, "num_kv_heads": 1, "head_dim": 4, "block_size": 16, "block_counts": 2,
        "window_size": 24,
    },
}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore")  # layers warn about their own defaults


def build(name: str, **options: Any) -> nn.Module:
    """Return the layer; RWKV-7 starts with projections of zeros, which would hide what comes before them."""
    module, cls = name.split(".")
    layer: nn.Module = getattr(importlib.import_module(f"fla.layers.{module}"), cls)(**{**LAYERS[name], **options})
    if cls == "RWKV7Attention":
        for owner, parameter in layer.named_parameters():
            if "lora" in owner or owner == "o_proj.weight":
                nn.init.normal_(parameter, std=0.1)
    return layer


@pytest.mark.parametrize("length", [37, 100])
@pytest.mark.parametrize("name", LAYERS)
def test_every_parameter_gets_a_gradient(name: str, length: int) -> None:
    """A layer with its default options gives every parameter and its input a finite gradient that is not zero."""
    layer, x = build(name), torch.randn(2, length, WIDTH, requires_grad=True)
    layer(x)[0].square().mean().backward()
    for owner, tensor in (*layer.named_parameters(), ("input", x)):
        assert tensor.grad is not None, owner
        assert tensor.grad.isfinite().all(), owner
        assert tensor.grad.abs().sum() > 0, owner


@pytest.mark.parametrize("length", [37, 100])
@pytest.mark.parametrize("name", LAYERS)
def test_evaluation_equals_training(name: str, length: int) -> None:
    """Training mode, and evaluation mode without gradients where FLA picks other kernels, give the same output."""
    layer, x = build(name), torch.randn(2, length, WIDTH)
    trained = layer(x)[0].detach()
    with torch.no_grad():
        evaluated = layer.eval()(x)[0]
    with torch.inference_mode():
        inferred = layer(x)[0]
    torch.testing.assert_close(evaluated, trained, atol=5e-6, rtol=1e-5)
    torch.testing.assert_close(inferred, trained, atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_causal(name: str) -> None:
    """Changing a position changes no output before it and does change outputs from there on."""
    layer, x = build(name), torch.randn(1, 70, WIDTH)
    changed = x.clone()
    changed[:, 33] += 1.0
    with torch.no_grad():
        before, after = layer(x)[0], layer(changed)[0]
    torch.testing.assert_close(after[:, :33], before[:, :33], atol=1e-6, rtol=0)
    assert (after[:, 33:] - before[:, 33:]).abs().max() > 1e-4


@pytest.mark.parametrize("name", LAYERS)
def test_autocast(name: str) -> None:
    """Under bfloat16 autocast a layer stays close to its float32 output and its parameters get float32 gradients."""
    layer, x = build(name), torch.randn(2, 70, WIDTH)
    exact = layer(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)[0]
    y.float().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in layer.parameters())
    if name != "nsa.NativeSparseAttention":  # rounding may select other blocks
        assert (y - exact).abs().max() < 0.05 * exact.abs().max() + 0.01


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("length", [5, 100])
def test_mamba2_equals_its_own_fallback(groups: int, length: int) -> None:
    """The chunked form of Mamba 2 equals the form in FLA that it replaces, in outputs and gradients."""
    from fla.layers.mamba2 import Mamba2

    layer = build("mamba2.Mamba2", n_groups=groups, chunk_size=16)

    def run(forward: Any) -> list[Tensor]:
        layer.zero_grad()
        x = torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(0)).requires_grad_()
        output = forward(layer, x)
        loss = output[0].square().sum() + output[2].square().sum()
        return [output[0], output[2], *torch.autograd.grad(loss, [x, *layer.parameters()])]

    for found, wanted in zip(run(Mamba2.torch_forward), run(Mamba2.torch_forward.__wrapped__), strict=True):
        assert ((found - wanted).abs().max() / wanted.abs().max().clamp_min(1.0)) < 5e-5


def test_checkpointing_and_a_kept_graph() -> None:
    """Activation checkpointing and a second backward over a kept graph both give the plain gradients."""
    layer, x = build("gla.GatedLinearAttention"), torch.randn(2, 70, WIDTH)
    parameters = list(layer.parameters())
    plain = torch.autograd.grad(layer(x)[0].square().sum(), parameters)
    again = torch.utils.checkpoint.checkpoint(lambda y: layer(y)[0], x, use_reentrant=False).square().sum()
    kept = layer(x)[0].square().sum()
    torch.autograd.grad(kept, parameters, retain_graph=True)
    for other in (torch.autograd.grad(again, parameters), torch.autograd.grad(kept, parameters)):
        torch.testing.assert_close(other, plain)


def test_second_derivative_is_refused() -> None:
    """Asking for a graph of the gradient raises instead of silently leaving a term out."""
    from fla.modules.activations import swish

    x = torch.randn(3, requires_grad=True)
    with pytest.raises(UnsupportedOption, match="create_graph=True"):
        torch.autograd.grad(swish(x).sum(), x, create_graph=True)


def test_dynamo_leaves_the_backend_alone() -> None:
    """A compiled model that holds an FLA layer trains, with the gradients of the eager one."""
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), build("gla.GatedLinearAttention"))

    def loss(x: Tensor) -> Tensor:
        return model(x)[0].square().mean()

    x = torch.randn(2, 70, WIDTH)
    eager = torch.autograd.grad(loss(x), list(model.parameters()))
    compiled = torch.autograd.grad(torch.compile(loss, backend="eager")(x), list(model.parameters()))
    torch.testing.assert_close(compiled, eager)
