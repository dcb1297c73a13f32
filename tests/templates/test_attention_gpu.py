"""The mechanisms on a GPU, where FLA's layers run their Triton kernels."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

KEYS = sorted(path.stem for path in (Path(__file__).parents[2] / "templates" / "attention").glob("*.py"))
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.usefixtures("few_kernel_choices"),
]
Build = Callable[..., Any]


@pytest.fixture(autouse=True)
def _skip_what_fla_refuses(request: pytest.FixtureRequest) -> None:
    """FLA raises for decays that depend on the token, per head, on Hopper GPUs with Triton 3.4 up to 3.7.0."""
    import triton

    version = tuple(int(part) for part in triton.__version__.split("+")[0].split(".")[:3])
    refused = (3, 4, 0) <= version < (3, 7, 1) and torch.cuda.get_device_capability()[0] == 9
    if refused and request.node.callspec.params["key"] in {"gated_deltanet", "gated_deltaproduct"}:
        pytest.skip(f"FLA has no correct backward kernel for it on this GPU with Triton {triton.__version__}")


def gradients(module: nn.Module, x_BTC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Output and input gradient in fp32 on the CPU; a GPU computes under bf16 autocast."""
    x_BTC = x_BTC.clone().requires_grad_()
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=x_BTC.is_cuda):
        y_BTC = module(x_BTC)
    (y_BTC.float() * torch.linspace(-1, 1, x_BTC.shape[2], device=x_BTC.device)).sum().backward()
    assert x_BTC.grad is not None
    return y_BTC.detach().float().cpu(), x_BTC.grad.float().cpu()


@pytest.mark.parametrize("key", KEYS)
def test_gpu_agrees_with_cpu(build: Build, key: str) -> None:
    """Output and input gradient under bf16 autocast lie within 4 % of the CPU's fp32 in root mean square."""
    from harness.fla_cpu import install

    install()
    constants = {"n_selected": 16} if key == "nsa" else {}
    module = build(key, sizes={"n_head": 4, "n_embd": 256}, **constants)
    x_BTC = torch.randn(2, 200, 256)
    expected = gradients(module, x_BTC)
    actual = gradients(copy.deepcopy(module).cuda(), x_BTC.cuda())
    for name, want, got in zip(("output", "gradient"), expected, actual, strict=True):
        error = ((got - want).square().mean() / want.square().mean()).sqrt().item()
        print(f"{key} {name}: relative error {error:.2e}")
        assert error < 0.04


@pytest.mark.parametrize("key", KEYS)
def test_trains_at_full_width(build: Build, key: str) -> None:
    """At the width and length of gpt-345m every weight gets a finite gradient under bf16 autocast."""
    module = build(key, sizes={"block_size": 1024, "n_head": 16, "n_embd": 1024}).cuda().train()
    torch.cuda.reset_peak_memory_stats()
    x_BTC = torch.randn(8, 1024, 1024, device="cuda", requires_grad=True)
    for _ in range(2):
        torch.cuda.synchronize()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            y_BTC = module(x_BTC)
        y_BTC.float().square().mean().backward()
        end.record()
        torch.cuda.synchronize()
    gib = torch.cuda.max_memory_allocated() / 2**30
    print(f"{key} B=8 T=1024 C=1024: {start.elapsed_time(end):.1f} ms forward and backward, {gib:.1f} GiB")
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in module.parameters())
