"""The kernels of norm, GELU and loss: by Triton's interpreter on a CPU, and themselves where there is a GPU."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import fused

INTERPRETED = Path(__file__).parent / "interpreted_kernels.py"
gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")]
DEVICES = ["cpu", pytest.param("cuda", marks=gpu)]


class Norm(nn.Module):
    """The script's, without its switch."""

    def __init__(self, width: int, bias: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))
        self.bias = nn.Parameter(torch.linspace(-1, 1, width)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return fused.layer_norm(x, self.weight, self.bias)


class Block(nn.Module):
    """A block like the script's, around a mechanism that mixes nothing."""

    def __init__(self, width: int, dtype: torch.dtype = torch.bfloat16):
        super().__init__()
        self.ln_1, self.ln_2 = Norm(width), Norm(width, bias=True)
        self.linear, self.mlp, self.dtype = nn.Linear(width, width), nn.Linear(width, width), dtype

    def attn(self, x: Tensor) -> Tensor:
        return self.linear(x).to(self.dtype)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        x = x + self.mlp(self.ln_2(x))
        return x  # noqa: RET504


def distance(actual: Tensor, expected: Tensor) -> float:
    return ((actual.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30)).item()


def test_kernels_compute_the_formulas() -> None:
    """On sizes that fill no tile, each kernel gives value and gradients of torch's function in fp64, by Triton's
    interpreter, which runs in a process of its own: it decides what a kernel is when that is defined."""
    pytest.importorskip("triton")
    ended = subprocess.run([sys.executable, str(INTERPRETED)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["gelu", "norm", "losses"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_functions_agree_with_torch_in_fp64(device: str, dtype: torch.dtype) -> None:
    """GELU, norm with and without a branch, and loss are torch's, in value and gradients, within their precision."""
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.manual_seed(0)
    start = [torch.randn(2, 9, 48), torch.randn(2, 9, 48), torch.rand(48) + 0.5, torch.randn(48), torch.randn(99, 48)]
    targets = torch.randint(99, (2, 9), device=device)

    def run(functions: Any, leaves: list[Tensor]) -> list[Tensor]:
        x, branch, weight, bias, matrix = leaves
        total, y = functions.add_layer_norm(x, branch, weight, bias)
        loss = functions.head(functions.layer_norm(total, weight, None), matrix, targets)[1]
        (loss + functions.gelu(y).square().mean() + total.mean()).backward()
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
        ours = run(fused, leaves)
    for actual, expected in zip(ours, run(plain, exact), strict=True):
        assert distance(actual, expected) < tolerance


@pytest.mark.parametrize("device", DEVICES)
def test_gradients_of_gradients(device: str) -> None:
    """What cannot be fused is computed by torch: a second derivative through norm and GELU is right."""
    x = torch.randn(3, 16, device=device, dtype=torch.bfloat16).requires_grad_()
    weight, bias = torch.rand(16, device=device, requires_grad=True), torch.rand(16, device=device, requires_grad=True)
    results = []
    for functions in (fused, SimpleNamespace(add_layer_norm=fused._add_layer_norm, gelu=functional.gelu)):
        options = () if functions is fused else (torch.bfloat16,)
        total, y = functions.add_layer_norm(x, x * 2, weight, bias, *options)
        (slope,) = torch.autograd.grad(functions.gelu(y).float().sum() + total.float().sum(), x, create_graph=True)
        results.append([slope, *torch.autograd.grad(slope.float().square().sum(), (x, weight))])
    for actual, expected in zip(*results, strict=True):
        assert distance(actual, expected) < 0.03


@pytest.mark.parametrize("device", DEVICES)
def test_functions_can_be_transformed(device: str) -> None:
    """torch.func goes through norm and GELU as it does through torch's own."""
    x, weight = torch.randn(5, 16, device=device), torch.rand(16, device=device)

    def energy(row: Tensor) -> Tensor:
        return fused.gelu(fused.layer_norm(row, weight, None)).sum()

    slopes = torch.func.vmap(torch.func.grad(energy))(x)
    leaf = x.clone().requires_grad_()
    functional.gelu(functional.layer_norm(leaf, weight.shape, weight, None)).sum().backward()
    assert distance(slopes, leaf.grad) < 1e-4  # type: ignore[arg-type]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fused_block_is_the_block(device: str, dtype: torch.dtype) -> None:
    """A block as the script has it gives the same stream and gradients fused, whatever its mechanism's precision."""
    torch.manual_seed(0)
    made, found = Block(48, dtype).to(device), []
    x = torch.randn(2, 9, 48, device=device).bfloat16()
    for forward in (Block.forward, fused_forward()):
        made.zero_grad()
        leaf = x.clone().requires_grad_()
        with torch.autocast(device, torch.bfloat16):
            y = forward(made, leaf)
        y.square().sum().backward()
        found.append([y, leaf.grad, *(weight.grad for weight in made.parameters())])
    for plain, ours in zip(*found, strict=True):
        assert (plain.dtype, plain.shape) == (ours.dtype, ours.shape)
        assert distance(ours, plain) < 2e-2


def fused_forward() -> Callable[[Any, Tensor], Tensor]:
    """What Block.forward becomes."""
    copy = type("Copy", (Block,), {"forward": Block.forward})
    fused.fuse_block(copy, Norm)
    assert copy.forward is not Block.forward  # type: ignore[attr-defined]
    return copy.forward  # type: ignore[attr-defined,no-any-return]


def edited(self: Any, x: Tensor) -> Tensor:
    x = x + self.mlp(self.ln_2(x))
    x = x + self.attn(self.ln_1(x))
    return x  # noqa: RET504


@pytest.mark.parametrize("forward", [edited, lambda self, x: x + self.attn(self.ln_1(x)), partial(edited), None])
def test_an_edited_block_runs_as_it_is_written(forward: Any) -> None:
    """Only the very instructions that the script begins with are replaced; a forward may be any callable, or none."""
    written = type("Edited", (), {"forward": forward})
    fused.fuse_block(written, Norm)
    assert vars(written)["forward"] is forward


def test_a_block_that_is_no_class_is_left_alone() -> None:
    """A function that makes blocks will do, and so will one block for all layers."""
    for written in (lambda config: Block(config.n_embd), Block(16)):
        before = vars(written).copy()
        fused.fuse_block(written, Norm)
        assert vars(written) == before


def test_a_block_with_other_norms_runs_as_it_is_written() -> None:
    """An edited constructor may put other modules where the norms were: they are called."""
    made = Block(16)
    made.ln_1 = nn.RMSNorm(16)  # type: ignore[assignment]
    x = torch.randn(2, 3, 16)
    assert torch.equal(fused_forward()(made, x), Block.forward(made, x))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # which torch.compile itself calls
def test_a_compiled_model_may_use_them() -> None:
    """An agent that compiles a part of the model gets the same numbers."""
    torch.manual_seed(0)
    made, found = Block(48).cuda(), []
    forward = fused_forward()
    for function in (forward, torch.compile(forward)):
        x = torch.ones(2, 9, 48, device="cuda", dtype=torch.bfloat16).requires_grad_()
        with torch.autocast("cuda", torch.bfloat16):
            y = fused.gelu(function(made, x))
        y.square().sum().backward()
        found.append((y, x.grad))
    for plain, compiled in zip(*found, strict=True):
        assert distance(compiled, plain) < 2e-2


@pytest.mark.parametrize("device", DEVICES)
def test_the_loss_of_an_evaluation_leaves_the_logits(device: str) -> None:
    """Without gradients both come back, whole."""
    x, weight = torch.randn(2, 3, 16, device=device).bfloat16(), torch.randn(99, 16, device=device).bfloat16()
    targets = torch.randint(99, (2, 3), device=device)
    with torch.no_grad():
        logits, loss = fused.head(x, weight, targets)
    assert logits is not None
    assert loss is not None
    assert distance(logits, x @ weight.T) < 1e-2
    assert loss.item() == pytest.approx(functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).item())
    assert fused.head(x, weight, None)[1] is None
