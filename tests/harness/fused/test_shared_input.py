"""The gradients of a tensor that several linear maps read, on a GPU; interpreted_kernels.py has more without one."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from harness.fused import shared_input


class Mechanism(nn.Module):
    """Four maps of one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(64, 64) for _ in range(4))

    def inner(self, x: Tensor) -> Tensor:
        y: Tensor = sum(each(x).sin() for each in self.maps)  # type: ignore[assignment]
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Compiled(Mechanism):
    """Its maps are compiled together."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.compile(self.inner)(x)
        return y


class Checkpointed(Mechanism):
    """Its maps are computed again in the backward pass."""

    def __init__(self, reentrant: bool):
        super().__init__()
        self.reentrant = reentrant

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = checkpoint(self.inner, x, use_reentrant=self.reentrant)  # type: ignore[no-untyped-call]
        return y


def gradients(mechanism: nn.Module) -> list[Tensor]:
    mechanism.zero_grad()
    x = torch.linspace(-1, 1, 640, device="cuda").view(10, 64).requires_grad_()
    with torch.autocast("cuda", torch.bfloat16):
        y = mechanism((x * 1).bfloat16())
    y.float().square().sum().backward()
    return [x.grad, *(weight.grad.clone() for weight in mechanism.parameters())]  # type: ignore[union-attr, list-item]


@pytest.mark.parametrize("made", [Mechanism, Compiled, lambda: Checkpointed(True), lambda: Checkpointed(False)])
@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # which torch.compile itself calls
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # as is this, and hidden but from pytest
def test_a_mechanism_has_the_gradients_that_it_had(made: Any) -> None:
    """As it is, compiled, and with its activations computed twice: in the pass that counts readers and in the next."""
    mechanism = made().cuda()
    before = gradients(mechanism)
    shared_input.share([mechanism])
    for _ in range(2):
        for one, other in zip(gradients(mechanism), before, strict=True):
            assert (one - other).norm() <= 2e-2 * other.norm()
