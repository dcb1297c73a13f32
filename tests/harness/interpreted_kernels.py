"""Compares each kernel with torch in fp64, by Triton's interpreter: what test_fused.py runs in a process of its own."""

import os

os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from harness import fused_kernels

SHAPES = [(3, 5, 24), (2, 7, 32), (1, 1, 1000)]


def distance(actual: Tensor, expected: Tensor) -> float:
    return ((actual.double() - expected).norm() / expected.norm()).item()


def compare_gelu() -> None:
    for shape in SHAPES:
        x, dy = torch.randn(shape) * 3, torch.randn(shape)
        exact = x.double().requires_grad_()
        functional.gelu(exact).backward(dy.double())
        assert distance(fused_kernels.gelu(x), functional.gelu(x.double())) < 1e-6
        assert distance(fused_kernels.gelu_gradient(x, dy), exact.grad) < 1e-6


def compare_norm() -> None:
    for shape, has_branch, has_bias, has_sum in product(SHAPES, *[(False, True)] * 3):
        x, dy, weight = torch.randn(shape) + 3, torch.randn(shape), torch.rand(shape[-1])
        branch = torch.randn(shape) if has_branch else None
        bias = torch.randn(shape[-1]) if has_bias else None
        dsum = torch.randn(shape) if has_sum else None
        total, y = fused_kernels.norm(x, branch, weight, bias, 1e-5, torch.float32)
        leaves = [each if each is None else each.double().requires_grad_() for each in (total, weight, bias)]
        expected = functional.layer_norm(leaves[0], weight.shape, *leaves[1:])
        expected.backward(dy.double())
        assert torch.equal(total, x if branch is None else x + branch)
        assert distance(y, expected) < 1e-6
        dx, dweight, dbias = fused_kernels.norm_gradient(total, weight, bias, dsum, dy, 1e-5)
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
        assert distance(fused_kernels.losses(left, targets, gradient=False), expected) < 1e-6
        assert torch.equal(left, logits)
        assert distance(fused_kernels.losses(changed, targets, gradient=True), expected) < 1e-6
        assert distance(changed, exact.grad) < 1e-5
        targets[2], targets[4] = -100, width
        found = fused_kernels.losses(logits, targets, gradient=False)
        assert found.isnan().tolist() == [False, False, True, False, True, False]


if __name__ == "__main__":
    torch.manual_seed(0)
    for compare in (compare_gelu, compare_norm, compare_losses):
        compare()
        print(compare.__name__.removeprefix("compare_"))
