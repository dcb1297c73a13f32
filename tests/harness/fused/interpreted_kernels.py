"""Compares each kernel with torch in fp64, by Triton's interpreter: test_functions.py runs it in its own process."""

import copy
import os

os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from harness.fused import functions, kernels, shared_input
from harness.fused.kernels import convolution, sums

SHAPES = [(3, 5, 24), (2, 7, 32), (1, 1, 1000)]
SEVERAL_TILES = (600, 24)
"""For each program of a norm's backward pass."""


def distance(actual: Tensor, expected: Tensor) -> float:
    return ((actual.double() - expected).norm() / expected.norm()).item()


def compare_gelu() -> None:
    for shape in SHAPES:
        x, dy = torch.randn(shape) * 3, torch.randn(shape)
        exact = x.double().requires_grad_()
        functional.gelu(exact).backward(dy.double())
        assert distance(kernels.gelu.forward(x), functional.gelu(x.double())) < 1e-6
        assert distance(kernels.gelu.gradient(x, dy), exact.grad) < 1e-6
    compare_gelu_of_all_numbers()


def compare_gelu_of_all_numbers() -> None:
    """Every number that bf16 has."""
    x = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).float()
    y, slope = kernels.gelu.forward(x), kernels.gelu.gradient(x, torch.ones_like(x))
    assert y[x.isnan()].isnan().all()
    assert slope[x.isnan()].isnan().all()
    assert y[x == torch.inf] == torch.inf
    finite = x.isfinite()
    exact = x[finite].double().requires_grad_()
    expected = functional.gelu(exact)
    expected.sum().backward()
    assert (y[finite] - expected).abs().max() < 6e-7
    assert (slope[finite] - exact.grad).abs().max() < 1.2e-6
    near = exact.abs() < 5
    assert ((y[finite] - expected).abs() <= 7e-6 * expected.abs())[near].all()


def compare_norm() -> None:
    cases = [*product(SHAPES, *[(False, True)] * 3), (SEVERAL_TILES, True, True, True)]
    for shape, has_branch, has_bias, has_sum in cases:
        x, dy, weight = torch.randn(shape) + 3, torch.randn(shape), torch.rand(shape[-1])
        branch = torch.randn(shape) if has_branch else None
        bias = torch.randn(shape[-1]) if has_bias else None
        dsum = torch.randn(shape) if has_sum else None
        total, y, scales = kernels.norm.forward(x, branch, weight, bias, 1e-5, torch.float32)
        leaves = [each if each is None else each.double().requires_grad_() for each in (total, weight, bias)]
        expected = functional.layer_norm(leaves[0], weight.shape, *leaves[1:])
        expected.backward(dy.double())
        assert torch.equal(total, x if branch is None else x + branch)
        assert distance(y, expected) < 1e-6
        dx, dweight, dbias = kernels.norm.gradient(total, weight, bias, scales, dsum, dy)
        assert distance(dx, leaves[0].grad + (0 if dsum is None else dsum)) < 1e-5
        assert distance(dweight, leaves[1].grad) < 1e-5
        assert bias is None or distance(dbias, leaves[2].grad) < 1e-5


def compare_losses() -> None:
    for width in (61, 20_000):
        logits, targets = torch.randn(6, width) * 5, torch.randint(width, (6,))
        exact = logits.double().requires_grad_()
        expected = functional.cross_entropy(exact, targets, reduction="none")
        expected.mean().backward()
        left, changed = logits.clone(), logits.clone()
        assert distance(kernels.loss.losses(left, targets, gradient=False), expected) < 1e-6
        assert torch.equal(left, logits)
        assert distance(kernels.loss.losses(changed, targets, gradient=True), expected) < 1e-6
        assert distance(changed, exact.grad) < 1e-5
        targets[2], targets[4] = -100, width
        found = kernels.loss.losses(logits, targets, gradient=False)
        assert found.isnan().tolist() == [False, False, True, False, True, False]


def compare_weights() -> None:
    """A norm reads weights that are laid out otherwise, and leaves to torch what it does not compute."""
    x, gain = torch.randn(6, 4, 8), torch.rand(1)
    for weight in (torch.rand(16)[::2], gain.expand(8), torch.rand(4, 8)):
        expected = functional.layer_norm(x, weight.shape, weight, weight * 2)
        assert distance(functions.layer_norm(x, weight, weight * 2), expected.double()) < 1e-6
    far = x.double() + 1e6
    exact = functional.layer_norm(far, (8,), gain.expand(8).double())
    assert distance(functions.layer_norm(far, gain.expand(8).double(), None), exact) < 1e-6


def compare_gradients_of_views() -> None:
    """What is laid out otherwise can be differentiated twice."""
    start, weight = torch.randn(5, 8), torch.rand(8, requires_grad=True)
    found = []
    for norm, gelu in (
        (lambda z: functions.layer_norm(z, weight, None), functions.gelu),
        (lambda z: functional.layer_norm(z, (8,), weight), functional.gelu),
    ):
        x = start.clone().requires_grad_()
        z = (x * 1).t().contiguous().t()
        y = gelu(norm(z).bfloat16().t().contiguous().t())
        (slope,) = torch.autograd.grad(y.float().square().sum(), x, create_graph=True)
        found.append([slope, *torch.autograd.grad(slope.square().sum(), (x, weight))])
    for actual, expected in zip(*found, strict=True):
        assert distance(actual, expected.double()) < 2e-2


def compare_shares() -> None:
    """All gradients of a loss are multiplied with the same number, whatever bf16 makes of it."""
    x, weight = torch.randn(1, 64, 32).bfloat16().requires_grad_(), torch.randn(99, 32, requires_grad=True)
    targets = torch.randint(99, (1, 64))
    whole, sixth = (
        torch.autograd.grad(functions.head(x, weight, targets)[1] * share, (x, weight)) for share in (1.0, 1 / 6)
    )
    for one, other in zip(whole, sixth, strict=True):
        ratio = (other.double() * one.double()).sum() / one.double().square().sum()
        assert abs(ratio * 6 - 1) < 2e-4


def compare_sums() -> None:
    for count in range(2, sums.ADDENDS + 1):
        addends = [torch.randn(3, 1000) for _ in range(count)]
        assert distance(sums.add_up(addends), torch.stack(addends).double().sum(0)) < 1e-6


class Mechanism(nn.Module):
    """Three maps and more than there are aliases; each test says what it does with them."""

    def __init__(self, act: Callable[[nn.ModuleList, Tensor], Tensor], dtype: torch.dtype = torch.float32):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(8, 8, dtype=dtype) for _ in range(sums.ADDENDS + 2))
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.maps, x)


def by_all(maps: nn.ModuleList, x: Tensor) -> Tensor:
    return sum((each(x) for each in maps), x * x)


def with_others_between(maps: nn.ModuleList, x: Tensor) -> Tensor:
    return maps[0](x) + maps[1](maps[2](x)) + maps[3](x)


def changed_in_place(maps: nn.ModuleList, x: Tensor) -> Tensor:
    z = x * 3
    before = maps[0](z) + maps[1](z) + maps[2](z)
    z.mul_(2)
    return before + maps[0](z) + maps[1](z) + maps[3](z)


def differentiated_inside(maps: nn.ModuleList, x: Tensor) -> Tensor:
    y = maps[0](x) + maps[1](x) + maps[2](x)
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    return y + slope


def many_gradients_at_once(maps: nn.ModuleList, x: Tensor) -> Tensor:
    y = (maps[0](x) + maps[1](x) + maps[2](x)).sum(0)
    many = torch.eye(8)
    (slopes,) = torch.autograd.grad(y, x, many, is_grads_batched=True, retain_graph=True)
    return y + slopes.sum(0)


def vectorized(maps: nn.ModuleList, x: Tensor) -> Tensor:
    y = (maps[0](x) + maps[1](x) + maps[2](x)).sum(0)
    slopes = torch.func.vmap(lambda dy: torch.autograd.grad(y, x, dy, retain_graph=True)[0])(torch.eye(8))
    return y + slopes.sum(0)


def with_norm_and_gelu(maps: nn.ModuleList, x: Tensor) -> Tensor:
    weight = torch.linspace(0.5, 1.5, 8).requires_grad_()
    wide = (maps[0](x) + maps[1](x) + maps[2](x)).bfloat16()
    y = functions.gelu(functions.add_layer_norm(wide, wide.sin(), weight, None)[1]).sum(0)
    many = torch.eye(8, dtype=y.dtype)
    (slopes,) = torch.autograd.grad(y, x, many, is_grads_batched=True, retain_graph=True)
    others = torch.func.vmap(lambda dy: torch.autograd.grad(y, x, dy, retain_graph=True)[0])(many)
    return y + slopes.sum(0) + others.sum(0)


def forward_differentiated(maps: nn.ModuleList, x: Tensor) -> Tensor:
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        tangent = forward_ad.unpack_dual(maps[0](dual) + maps[1](dual) + maps[2](dual)).tangent
    return tangent + maps[0](x) + maps[1](x) + maps[2](x)


def copied_inside(maps: nn.ModuleList, x: Tensor) -> Tensor:
    y = maps[0](x) + maps[1](x) + maps[2](x)
    return y + copy.deepcopy(maps[0])(x)


def computed_twice(maps: nn.ModuleList, x: Tensor) -> Tensor:
    return checkpoint(lambda x: by_all(maps, x), x, use_reentrant=False)


def first_fails(maps: nn.ModuleList, x: Tensor) -> Tensor:
    try:
        maps[0](x[:, :3])
    except RuntimeError:
        return maps[0](x) + maps[1](x) + maps[2](x)
    raise AssertionError


FLOATS = (
    by_all, with_others_between, changed_in_place, differentiated_inside, many_gradients_at_once, vectorized,
    with_norm_and_gelu, forward_differentiated, copied_inside, computed_twice, first_fails,
)  # fmt: skip
HALVES = (by_all, with_others_between, computed_twice)
"""Of which sums of gradients are rounded."""


def compare_shared_input() -> None:
    added: list[int] = []
    add_up = sums.add_up
    sums.add_up = lambda addends: added.append(len(addends)) or add_up(addends)
    for act in FLOATS:
        compare_passes(act, torch.float32, torch.float32, 1e-2 if act is with_norm_and_gelu else 1e-5)
        assert added, act
    for act in HALVES:
        compare_passes(act, torch.float32, torch.bfloat16, 2e-2)
    assert max(added) == sums.ADDENDS
    added.clear()
    for dtype in (torch.complex64, torch.float64):
        compare_passes(by_all, dtype, dtype, 1e-6)
    assert not added
    compare_passes(with_others_between, torch.float32, torch.bfloat16, 2e-2)
    assert added == [3, 3, 3]


def compare_passes(act: Callable[[nn.ModuleList, Tensor], Tensor], weights: Any, dtype: Any, tolerance: float) -> None:
    """A mechanism has the gradients that it had, and those of its first pass are the others' bit by bit."""
    plain = Mechanism(act, weights)
    shared = copy.deepcopy(plain)
    shared_input.share([shared])
    before, *passes = (gradients(each, dtype) for each in (plain, shared, shared, shared))
    for one, other, expected in zip(passes[0], passes[1], before, strict=True):
        assert (one - expected).norm() <= tolerance * expected.norm(), act
        assert torch.equal(one, other), act
    for one, other in zip(passes[1], passes[2], strict=True):
        assert torch.equal(one, other), act


def gradients(mechanism: nn.Module, dtype: torch.dtype) -> list[Tensor]:
    mechanism.zero_grad()
    x = torch.linspace(-1, 1, 40, dtype=torch.float64).to(dtype).view(5, 8).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype in (torch.float32, torch.bfloat16)):
        y = mechanism(x * 1)
    y.abs().square().sum().backward()
    return [y.detach(), *(each.grad.clone() for each in (x, *mechanism.parameters()) if each.grad is not None)]


def compare_convolution() -> None:
    convolution.POSITIONS, convolution.CHANNELS = 16, 32
    for (batch, length, width), silu, has_bias in product([(2, 21, 24), (1, 3, 40), (1, 32, 32)], *[(False, True)] * 2):
        x, dy = torch.randn(batch, length, 2 * width)[..., :width], torch.randn(batch, length, width)
        weight, bias = torch.randn(width, 4), torch.randn(width) if has_bias else None
        leaves = [each if each is None else each.double().requires_grad_() for each in (x, weight, bias)]
        padded = functional.pad(leaves[0].transpose(1, 2), (3, 0))
        expected = functional.conv1d(padded, leaves[1][:, None], leaves[2], groups=width).transpose(1, 2)
        expected = functional.silu(expected) if silu else expected
        expected.backward(dy.double())
        assert distance(convolution.forward(x, weight, bias, silu), expected) < 1e-6
        found = convolution.gradient(x, dy, weight, bias, silu)
        for gradient, leaf in zip(found, leaves, strict=True):
            assert (gradient is None) == (leaf is None)
            assert leaf is None or distance(gradient, leaf.grad) < 1e-6


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.Tensor.is_cuda = True  # for which this process is made
    comparisons = (compare_gelu, compare_norm, compare_losses, compare_sums, compare_shared_input, compare_convolution)
    for compare in (*comparisons, compare_weights, compare_gradients_of_views, compare_shares):
        compare()
        print(compare.__name__.removeprefix("compare_"))
