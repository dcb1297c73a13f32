"""Norm, GELU and loss, here and on a GPU; and every kernel by itself, in Triton's interpreter."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness.fused import functions

INTERPRETED = Path(__file__).parent / "interpreted_kernels.py"


def distance(actual: Tensor, expected: Tensor) -> float:
    return ((actual.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30)).item()


def test_kernels_compute_the_formulas() -> None:
    """On sizes that fill no tile, each kernel gives value and gradients of torch's function in fp64, by Triton's
    interpreter, which runs in a process of its own: it decides what a kernel is when that is defined."""
    pytest.importorskip("triton")
    ended = subprocess.run([sys.executable, str(INTERPRETED)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    kernels = ["gelu", "norm", "losses", "sums", "shared_input", "convolution"]
    assert ended.stdout.split() == [*kernels, "weights", "gradients_of_views", "shares"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_functions_agree_with_torch_in_fp64(device: str, dtype: torch.dtype) -> None:
    """GELU, norm with and without a branch, and loss are torch's, in value and gradients, within their precision."""
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.manual_seed(0)
    start = [torch.randn(2, 9, 48), torch.randn(2, 9, 48), torch.rand(48) + 0.5, torch.randn(48), torch.randn(99, 48)]
    targets = torch.randint(99, (2, 9), device=device)

    def run(library: Any, leaves: list[Tensor]) -> list[Tensor]:
        x, branch, weight, bias, matrix = leaves
        total, y = library.add_layer_norm(x, branch, weight, bias)
        loss = library.head(library.layer_norm(total, weight, None), matrix, targets)[1]
        (loss + library.gelu(y).square().mean() + total.mean()).backward()
        return [loss.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    plain = SimpleNamespace(
        gelu=functional.gelu,
        layer_norm=lambda x, w, b: functional.layer_norm(x, w.shape, w, b),
        add_layer_norm=lambda x, y, w, b: (x + y, functional.layer_norm(x + y, w.shape, w, b)),
        head=lambda x, w, t: (None, functional.cross_entropy((x @ w.T).flatten(0, 1), t.flatten())),
    )
    leaves = [each.to(device, dtype if at < 2 else torch.float32).requires_grad_() for at, each in enumerate(start)]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
        ours = run(functions, leaves)
    for actual, expected in zip(ours, run(plain, exact), strict=True):
        assert distance(actual, expected) < tolerance


@pytest.mark.gpu
def test_many_rows_are_normalized() -> None:
    """Where each program has many tiles, of the published width, norm and gradients are torch's in fp64."""
    torch.manual_seed(0)
    x, branch = (torch.randn(20_000, 1024, device="cuda").bfloat16().requires_grad_() for _ in range(2))
    weight, bias = (torch.rand(1024, device="cuda").requires_grad_() for _ in range(2))
    with torch.autocast("cuda", torch.bfloat16):
        total, y = functions.add_layer_norm(x, branch, weight, bias)
    exact = [each.detach().double().requires_grad_() for each in (total, weight, bias)]
    expected = functional.layer_norm(exact[0], (1024,), *exact[1:])
    dtotal, dy = torch.randn_like(total), torch.randn_like(y)
    torch.autograd.backward((total, y), (dtotal, dy))
    expected.backward(dy.double())
    assert distance(y, expected) < 5e-3
    assert exact[0].grad is not None
    for actual, gradient in ((x, exact[0].grad + dtotal), (branch, exact[0].grad + dtotal)):
        assert distance(actual.grad, gradient) < 5e-3  # type: ignore[arg-type]
    for actual, leaf in zip((weight, bias), exact[1:], strict=True):
        assert distance(actual.grad, leaf.grad) < 1e-5  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.parametrize("vocabulary", [50257, 50304])
def test_a_whole_vocabulary_has_the_loss_of_torch(vocabulary: int) -> None:
    """Where a row takes several blocks of many warps, aligned or not, loss and gradients are torch's in fp64."""
    torch.manual_seed(0)
    x = torch.randn(2, 64, 32, device="cuda").bfloat16().requires_grad_()
    weight = (torch.randn(vocabulary, 32, device="cuda") / 4).bfloat16().requires_grad_()
    targets = torch.randint(vocabulary, (2, 64), device="cuda")
    loss = functions.head(x, weight, targets)[1]
    exact = [each.detach().double().requires_grad_() for each in (x, weight)]
    expected = functional.cross_entropy((exact[0] @ exact[1].T).flatten(0, 1), targets.flatten())
    assert loss is not None
    (loss / 6).backward()
    (expected / 6).backward()
    assert loss.item() == pytest.approx(expected.item(), rel=5e-3)
    for actual, leaf in zip((x, weight), exact, strict=True):
        assert distance(actual.grad, leaf.grad) < 2e-2  # type: ignore[arg-type]


def test_gradients_of_gradients(device: str) -> None:
    """What cannot be fused is computed by torch: a second derivative through norm and GELU is right."""
    x = torch.randn(3, 16, device=device, dtype=torch.bfloat16).requires_grad_()
    weight, bias = torch.rand(16, device=device, requires_grad=True), torch.rand(16, device=device, requires_grad=True)
    results = []
    for library in (functions, SimpleNamespace(add_layer_norm=functions._add_layer_norm, gelu=functional.gelu)):
        options = () if library is functions else (torch.bfloat16,)
        total, y = library.add_layer_norm(x, x * 2, weight, bias, *options)
        (slope,) = torch.autograd.grad(library.gelu(y).float().sum() + total.float().sum(), x, create_graph=True)
        results.append([slope, *torch.autograd.grad(slope.float().square().sum(), (x, weight))])
    for actual, expected in zip(*results, strict=True):
        assert distance(actual, expected) < 0.03


def test_functions_can_be_transformed(device: str) -> None:
    """torch.func goes through norm and GELU as it does through torch's own."""
    x, weight = torch.randn(5, 16, device=device), torch.rand(16, device=device)

    def energy(row: Tensor) -> Tensor:
        return functions.gelu(functions.layer_norm(row, weight, None)).sum()

    slopes = torch.func.vmap(torch.func.grad(energy))(x)
    leaf = x.clone().requires_grad_()
    functional.gelu(functional.layer_norm(leaf, weight.shape, weight, None)).sum().backward()
    assert distance(slopes, leaf.grad) < 1e-4  # type: ignore[arg-type]


def test_the_loss_of_an_evaluation_leaves_the_logits(device: str) -> None:
    """Without gradients both come back, whole."""
    x, weight = torch.randn(2, 3, 16, device=device).bfloat16(), torch.randn(99, 16, device=device).bfloat16()
    targets = torch.randint(99, (2, 3), device=device)
    with torch.no_grad():
        logits, loss = functions.head(x, weight, targets)
    assert logits is not None
    assert loss is not None
    assert distance(logits, x @ weight.T) < 1e-2
    assert loss.item() == pytest.approx(functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).item())
    assert functions.head(x, weight, None)[1] is None
