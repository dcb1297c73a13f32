"""Installing the backend, and what it refuses."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import torch

from harness.fla_cpu import UncoveredOp, UnsupportedOption


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)


def test_install_imports_nothing_heavy() -> None:
    """Installing, and looking whether fla is there, loads neither torch nor triton nor fla and says nothing."""
    heavy = "print([m for m in ('torch', 'triton', 'fla') if m in sys.modules])"
    look = "importlib.util.find_spec('fla')"
    result = run(f"import importlib.util, sys; from harness.fla_cpu import install; install(); {look}; {heavy}")
    assert result.stdout.strip() == "[]"
    assert result.stderr == ""


def test_install_before_fla_says_so_once() -> None:
    """Installed twice before fla is imported, the backend runs a layer and announces itself once."""
    code = (
        "from harness.fla_cpu import install; install(); install(); import torch, fla.layers, fla.ops;"
        "print(fla.layers.LinearAttention(hidden_size=16, num_heads=1)(torch.randn(1, 5, 16))[0].shape)"
    )
    result = run(code)
    assert "torch.Size([1, 5, 16])" in result.stdout
    assert result.stderr.count("pure torch") == 1
    assert "Triton is not supported" not in result.stderr


def test_install_after_fla_reaches_earlier_imports() -> None:
    """Functions and aliases that a script took from fla before the installation run on a CPU after it."""
    code = (
        "import torch; from fla.modules.activations import swish; from fla.ops import chunk_delta_rule;"
        "from harness.fla_cpu import install; install();"
        "q = torch.randn(1, 5, 1, 4); print(chunk_delta_rule(q, q, q, torch.rand(1, 5, 1))[0].shape, swish(q).shape)"
    )
    assert run(code).stdout.count("torch.Size([1, 5, 1, 4])") == 2


def test_uncovered_operation_is_named() -> None:
    """An operation without a CPU form raises an error that names it, says that it needs a GPU and what runs here."""
    from fla.ops.abc import chunk_abc

    q, s = torch.randn(1, 64, 1, 16), torch.randn(1, 64, 1, 8)
    with pytest.raises(UncoveredOp, match=r"fla\.ops\.abc\.chunk\.chunk_abc needs a GPU.*GatedLinearAttention"):
        chunk_abc(q, q, q, s)


def test_unknown_option_is_named() -> None:
    """A covered operation with an option that has no CPU form raises an error that names both."""
    from fla.ops.gla import chunk_gla

    q = torch.randn(1, 8, 1, 4)
    with pytest.raises(UnsupportedOption, match=r"ChunkGLAFunction: the option cu_seqlens"):
        chunk_gla(q, q, q, q, cu_seqlens=torch.tensor([0, 4, 8]))


def test_an_option_that_is_off_is_accepted() -> None:
    """Options that FLA spells out as None or False, or that only choose a speed, do not raise."""
    from fla.ops.delta_rule import chunk_delta_rule

    q = torch.randn(1, 8, 1, 4)
    o, state = chunk_delta_rule(q, q, q, torch.rand(1, 8, 1), cu_seqlens=None, chunk_size=32)
    assert o.shape == q.shape
    assert state is None


def test_coverage_matches_the_installed_fla() -> None:
    """Every module in the coverage table imports, which fails on a name that this FLA lacks."""
    from harness.fla_cpu.coverage import COVERED

    for module in COVERED:
        importlib.import_module(module)


def test_padding_mask_is_refused() -> None:
    """A layer given a padding mask raises instead of attending across the padding."""
    from fla.layers import GatedLinearAttention

    layer = GatedLinearAttention(hidden_size=32, num_heads=2)
    mask = torch.ones(2, 70, dtype=torch.bool)
    mask[0, :5] = False
    with pytest.raises(UnsupportedOption, match="cu_seqlens"):
        layer(torch.randn(2, 70, 32), attention_mask=mask)
