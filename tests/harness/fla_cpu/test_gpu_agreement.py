"""Whole FLA layers: Triton on a GPU against the CPU backend, in one process with the backend installed.

The GPU runs in bfloat16, as FLA's kernels are meant to; the CPU runs the same rounded weights and inputs in float32.
Errors are |gpu - cpu| / |cpu| in the Euclidean norm. `pytest -m gpu tests/harness/fla_cpu` prints the table.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import triton
from torch import Tensor, nn

from harness.fla_cpu import swap

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("few_kernel_choices"),
]

BATCH, WIDTH = 2, 128
OUTPUT_TOLERANCE, GRADIENT_TOLERANCE = 2e-2, 5e-2
HEADS: dict[str, Any] = {"hidden_size": WIDTH, "num_heads": 2}
LAYERS: dict[str, dict[str, Any]] = {
    "gla.GatedLinearAttention": HEADS,
    "delta_net.DeltaNet": HEADS,
    "gated_deltanet.GatedDeltaNet": {**HEADS, "head_dim": 64},
    "gated_deltaproduct.GatedDeltaProduct": {**HEADS, "head_dim": 64},
    "multiscale_retention.MultiScaleRetention": HEADS,
    "simple_gla.SimpleGatedLinearAttention": HEADS,
    "linear_attn.LinearAttention": HEADS,
    "hgrn.HGRNAttention": {"hidden_size": WIDTH},
    "hgrn2.HGRN2Attention": {"hidden_size": WIDTH, "expand_ratio": 64},
    "mamba2.Mamba2": {"hidden_size": WIDTH, "chunk_size": 64},
    "rwkv7.RWKV7Attention": {"hidden_size": WIDTH, "head_dim": 64, "layer_idx": 0, "num_hidden_layers": 2},
    "kda.KimiDeltaAttention": {**HEADS, "head_dim": 64},
    # Every block is selected, since rounding may tip a choice; the sliding part needs flash-attn on a GPU.
    "nsa.NativeSparseAttention": {
        "hidden_size": WIDTH, "num_heads": 16, "num_kv_heads": 1, "head_dim": 64, "block_counts": 8, "window_size": 0,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Collect one row a comparison and print them all at the end, past pytest's capture."""
    rows = [f"{'layer':<44}{'T':>5}  {'kernels':<12}{'output':>10}{'d input':>10}{'d weights':>11}"]
    yield rows
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}: Triton in bfloat16, CPU in float32")
        print("\n".join(rows))


def build(name: str) -> nn.Module:
    """Return the layer on the CPU with weights that bfloat16 holds, none of them zero as RWKV-7 starts with."""
    module, cls = name.split(".")
    layer: nn.Module = getattr(importlib.import_module(f"fla.layers.{module}"), cls)(**LAYERS[name])
    for owner, parameter in layer.named_parameters():
        if cls == "RWKV7Attention" and ("lora" in owner or owner == "o_proj.weight"):
            nn.init.normal_(parameter, std=0.1)
    return layer.bfloat16().float()


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found.detach().float().cpu() - wanted.detach()).norm() / wanted.detach().norm())


def refuse(*_: object) -> None:
    raise AssertionError("a CUDA tensor reached a CPU function")


def skip_what_fla_refuses(name: str) -> None:
    """FLA raises in the backward of decays that depend on the token, per head, on Hopper with Triton 3.4 to 3.7.0."""
    version = tuple(int(part) for part in triton.__version__.split("+")[0].split(".")[:3])
    refused = (3, 4, 0) <= version < (3, 7, 1) and torch.cuda.get_device_capability()[0] == 9
    if refused and name.startswith(("gated_", "simple_gla")):
        pytest.skip(f"FLA has no correct backward kernel for it on this GPU with Triton {triton.__version__}")


@pytest.mark.parametrize("name", LAYERS)
def test_training(name: str, table: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Output, input gradient and weight gradients of a layer in training agree within bfloat16 tolerance."""
    skip_what_fla_refuses(name)
    cpu = build(name)
    gpu = copy.deepcopy(cpu).to("cuda", torch.bfloat16)
    x = torch.randn(BATCH, 256, WIDTH).bfloat16()
    x_cpu, x_gpu = x.float().requires_grad_(), x.cuda().requires_grad_()
    projection = torch.randn(BATCH, 256, WIDTH).bfloat16()
    wanted = cpu(x_cpu)[0]
    (wanted * projection.float()).sum().backward()
    monkeypatch.setattr(swap, "known_arguments", refuse)  # every CPU function is called through it
    found = gpu(x_gpu)[0]
    (found * projection.cuda()).sum().backward()
    assert x_cpu.grad is not None
    assert x_gpu.grad is not None
    weights = [torch.cat([p.grad.float().cpu().flatten() for p in m.parameters()]) for m in (gpu, cpu)]  # type: ignore[union-attr]
    errors = relative(found, wanted), relative(x_gpu.grad, x_cpu.grad), relative(*weights)
    table.append(f"{name:<44}{256:>5}  {'training':<12}{errors[0]:>10.4f}{errors[1]:>10.4f}{errors[2]:>11.4f}")
    assert errors[0] < OUTPUT_TOLERANCE
    assert max(errors[1:]) < GRADIENT_TOLERANCE


@pytest.mark.parametrize("name", LAYERS)
def test_short_evaluation(name: str, table: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On 37 positions without gradients, where FLA picks its recurrent kernels, outputs agree too."""
    cpu = build(name).eval()
    gpu = copy.deepcopy(cpu).to("cuda", torch.bfloat16)
    x = torch.randn(BATCH, 37, WIDTH).bfloat16()
    with torch.no_grad():
        wanted = cpu(x.float())[0]
        monkeypatch.setattr(swap, "known_arguments", refuse)
        error = relative(gpu(x.cuda())[0], wanted)
    table.append(f"{name:<44}{37:>5}  {'evaluation':<12}{error:>10.4f}")
    assert error < OUTPUT_TOLERANCE


def test_a_cuda_tensor_launches_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """A covered function on CUDA tensors ends in a Triton launch."""
    from fla.modules.activations import swish
    from triton.runtime.jit import KernelInterface

    launched: list[Any] = []
    get = KernelInterface.__getitem__
    monkeypatch.setattr(
        KernelInterface, "__getitem__", lambda kernel, grid: launched.append(kernel) or get(kernel, grid)
    )
    x = torch.randn(8, device="cuda")
    torch.testing.assert_close(swish(x), torch.nn.functional.silu(x))
    assert launched
