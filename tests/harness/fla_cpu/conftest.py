"""Shared by the tests of the CPU backend: it is installed before any of them imports fla."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from harness.fla_cpu import install  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """Put the backend beneath fla for this test process; what fla's imports deprecate is not ours to fix."""
    install()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import fla  # noqa: F401


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Run on one thread from one seed, so that parallel test processes do not slow each other down."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Return a check that two functions agree in outputs (5e-6) and in the gradients of their inputs (5e-5)."""

    def check(ours: Callable[..., Any], reference: Callable[..., Any], inputs: Sequence[Any]) -> None:
        found, wanted = _evaluate(ours, inputs), _evaluate(reference, inputs)
        for tolerance, name in ((5e-6, "output"), (5e-5, "gradient")):
            assert len(found[name]) == len(wanted[name])
            for i, (x, y) in enumerate(zip(found[name], wanted[name], strict=True)):
                assert x.shape == y.shape, (name, i)
                error = ((x - y).abs().max() / y.abs().max().clamp_min(1.0)).item()
                assert error <= tolerance, f"{name} {i}: {error:.2e} > {tolerance}"

    return check


def _evaluate(function: Callable[..., Any], inputs: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the outputs of `function` and the gradients of a fixed random projection of them."""
    leaves = [x.detach().requires_grad_() if isinstance(x, torch.Tensor) else x for x in inputs]
    result = function(*leaves)
    outputs = [x for x in (result if isinstance(result, tuple) else (result,)) if x is not None]
    generator = torch.Generator().manual_seed(1)
    loss = sum((x * torch.randn(x.shape, generator=generator)).sum() for x in outputs)
    loss.backward()
    tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
    return {"output": [x.detach() for x in outputs], "gradient": [x.grad for x in tensors]}
