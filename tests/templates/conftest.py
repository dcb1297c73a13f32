"""Toy sizes, and drop-in files as modules: what the tests of the mechanisms share."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

TEMPLATES = Path(__file__).parents[2] / "templates"
LENGTHS = range(1, 131)

Build = Callable[..., nn.Module]


# FLA and the torch modules that it loads warn on import, of fp32 in GPU kernels that do not run here, and of calls that
# newer torches deprecate; torch warns that RMSNorm under autocast is not fused
FOREIGN_WARNINGS = (
    "ignore:`torch.jit.script:DeprecationWarning",
    "ignore:ChunkDeltaRuleFunction does not support float32",
    "ignore:Triton is not supported on current platform",
    "ignore:Flash Attention is not installed",
    "ignore:torch.get_autocast_gpu_dtype:DeprecationWarning",
    "ignore:Mismatch dtype between input and weight:UserWarning",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    for warning in FOREIGN_WARNINGS:
        item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Toy sizes gain nothing from more, and lose where several test processes share the cores."""
    torch.set_num_threads(1)


@pytest.fixture
def templates() -> Path:
    return TEMPLATES


@pytest.fixture
def toy_config() -> Callable[..., SimpleNamespace]:
    """The config of a tiny model, with changes."""

    def make(**changes: Any) -> SimpleNamespace:
        sizes = {"block_size": 256, "vocab_size": 61, "n_layer": 3, "n_head": 2, "n_embd": 32}
        return SimpleNamespace(**{**sizes, "dropout": 0.0, "bias": False, **changes})

    return make


def load(path: Path) -> dict[str, Any]:
    """The names that a drop-in file defines inside the script, whose imports stand above it."""
    source = path.read_text(encoding="utf-8")
    if "from fla" in source and not torch.cuda.is_available():
        from harness.fla_cpu import install

        install()
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "math": math, "__name__": f"region_{path.stem}"}
    exec(compile(source, str(path), "exec"), names)
    return names


@pytest.fixture
def build(toy_config: Callable[..., SimpleNamespace]) -> Build:
    """build(key, sizes={...}, **constants): a mechanism with seeded weights, some of its class's constants replaced."""

    def make(key: str, sizes: dict[str, Any] | None = None, **constants: int) -> nn.Module:
        attention = load(TEMPLATES / "attention" / f"{key}.py")["CausalSelfAttention"]
        for name, value in constants.items():
            assert hasattr(attention, name)
            setattr(attention, name, value)
        torch.manual_seed(0)
        return attention(toy_config(**(sizes or {}))).eval()

    return make


@pytest.fixture
def build_embedding(toy_config: Callable[..., SimpleNamespace]) -> Build:
    """build_embedding(key, **sizes): an embedding with seeded weights."""

    def make(key: str, **sizes: int) -> nn.Module:
        embedding = load(TEMPLATES / "embedding" / f"{key}.py")["TokenEmbedding"]
        torch.manual_seed(0)
        return embedding(toy_config(**sizes)).eval()

    return make


@pytest.fixture
def agrees_at_all_lengths() -> Callable[[nn.Module, Callable[[nn.Module, torch.Tensor], torch.Tensor]], None]:
    """Compare a mechanism in fp32 at lengths 1 to 130 with a reference (module, x_BTC) in float64.

    The reference runs once: a causal output at a shorter length is the beginning of that at a longer one.
    """

    def check(module: nn.Module, reference: Callable[[nn.Module, torch.Tensor], torch.Tensor]) -> None:
        x_BTC = torch.randn(2, max(LENGTHS), 32, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected_BTC = reference(copy.deepcopy(module).double(), x_BTC.double())
            for grad in (False, True):
                for T in LENGTHS:
                    with torch.set_grad_enabled(grad and T % 13 == 0):
                        y_BTC = module(x_BTC[:, :T])
                    error = (y_BTC.double() - expected_BTC[:, :T]).abs().max().item()
                    assert error < 1e-5 * (1 + expected_BTC.abs().max().item()), f"length {T} is off by {error}"

    return check
