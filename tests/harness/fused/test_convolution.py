"""Convolutions offered to flash-linear-attention: the contract with its registry, and the same results on a GPU."""

import inspect
import subprocess
import sys
import warnings
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness import fla_cpu
from harness.fla_as_shipped import SWITCH, fla_as_shipped
from harness.fused import convolution


@pytest.fixture(autouse=True, scope="module")
def loaded() -> None:
    """FLA as it can be loaded here; what its imports deprecate is not ours to fix."""
    if not torch.cuda.is_available():
        fla_cpu.install()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_module("fla")


@pytest.mark.parametrize("offered", convolution.OFFERED, ids=lambda offered: offered[0])
def test_fla_passes_what_is_named_here(offered: Any) -> None:
    """Every argument that a backend names is one of FLA's function, and FLA lets backends take its place."""
    name, *mine = offered
    theirs = getattr(import_module(convolution.FLA), name)
    known = set(inspect.signature(theirs).parameters)
    for function in mine:
        named = [each for each in inspect.signature(function).parameters.values() if each.kind is not each.VAR_KEYWORD]
        assert {each.name for each in named} <= known
    assert inspect.unwrap(theirs) in import_module("fla.backends")._function_registries


def test_a_mechanism_without_fla_is_not_made_to_load_it() -> None:
    """Nothing is offered to what no script has loaded."""
    code = "import sys; from harness.fused import convolution; convolution.install(); sys.exit('fla' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("before", [{}, {SWITCH: "0"}], ids=["unset", "off"])
def test_fla_can_run_as_shipped(before: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile FLA finds the backend disabled, and afterwards as it was."""
    backends = import_module("fla.backends")
    mine = type("Backend", (backends.BaseBackend,), {"backend_type": "test"})(env_var=SWITCH)
    monkeypatch.delenv(SWITCH, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    with fla_as_shipped():
        assert not mine.is_enabled()
    assert mine.is_enabled() == (not before)


CALL = {"x": torch.zeros(2, 9, 16), "weight": torch.zeros(16, 4), "activation": "silu"}
"""Of a convolution that would be taken on a GPU."""


@pytest.mark.parametrize(
    "changes",
    [
        {"weight": None},
        {"weight": torch.zeros(16, 3)},
        {"residual": torch.zeros(2, 9, 16)},
        {"initial_state": torch.zeros(2, 16, 4)},
        {"output_final_state": True},
        {"cu_seqlens": torch.tensor([0, 9])},
        {"activation": "gelu"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_other_calls_are_left_to_fla(changes: dict[str, Any]) -> None:
    """States, packed sequences, other taps and other activations; any tensor on a CPU."""
    on_a_cpu, others = (convolution.takes(**{**CALL, **each}) for each in ({}, changes))
    assert not on_a_cpu[0]
    assert not others[0]
    assert others[1] != on_a_cpu[1]


def run(layer: nn.Module, x: Tensor) -> list[Tensor]:
    layer.zero_grad()
    leaf = x.clone().requires_grad_()
    with torch.autocast("cuda", torch.bfloat16):
        y = layer(leaf)[0]
    (y.float() * torch.linspace(-1, 1, y.shape[-1], device="cuda")).sum().backward()
    return [y, *(each.grad for each in (leaf, *layer.parameters()))]  # type: ignore[misc]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", [None, "silu"])
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.gpu
def test_layers_compute_what_they_did(
    bias: bool, activation: str | None, strided: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FLA's layer gives the same result and gradients on these kernels, which take both calls, as on FLA's own."""
    layer = import_module("fla.modules").ShortConvolution(96, 4, bias=bias, activation=activation).cuda()
    wide = torch.randn(3, 300, 200, device="cuda").bfloat16()
    x = wide[..., 8:104] if strided else wide[..., :96].contiguous()
    for registry in import_module("fla.backends")._function_registries.values():
        monkeypatch.setattr(registry, "_backends", {})
    before, taken = run(layer, x), []

    def counted(function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            taken.append(function)
            return function(*given, **named)

        return call

    offered = tuple((name, takes, counted(function)) for name, takes, function in convolution.OFFERED)
    monkeypatch.setattr(convolution, "OFFERED", offered)
    convolution.install()
    for one, other in zip(run(layer, x), before, strict=True):
        assert (one.float() - other.float()).norm() <= 1e-2 * other.float().norm()
    assert taken == [convolution.convolution, convolution.gradient]
