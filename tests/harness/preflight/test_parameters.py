"""Counting a model, and the limit on it."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from harness.preflight.baselines import count
from harness.preflight.found import CheckFailed
from harness.preflight.parameters import Size, check_parameters, size_of
from harness.preflight.report import Baselines, Rules
from harness.preflight.subject import Subject
from harness.profiles import load_profile, resolve

PROJECTION = "self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)"
CONFIG = resolve(load_profile("smoke"), seed=1, device="cpu")
SMOKE = 256 * 128 + 4 * 12 * 128**2 + 9 * 128
"""The untouched script's: token embedding, blocks, norms."""


def test_learned_positions_are_told_apart(subject: Callable[..., Subject]) -> None:
    """The size that is shown leaves them out, the limit takes everything: a script may call anything a position."""
    script = subject(None).script
    assert size_of(script, SimpleNamespace(**_settings())) == Size(SMOKE + 128 * 128, SMOKE)


@pytest.mark.parametrize("expression", ["torch.ones(2).sum().item()", "torch.ones(2).numpy().sum()"])
def test_a_model_that_computes_with_values_while_it_builds_is_counted_too(
    subject: Callable[..., Subject], expression: str
) -> None:
    """Numbers that code takes out of tensors in __init__ are no obstacle to counting."""
    script = subject(None, (PROJECTION, f"{PROJECTION}; self.scale = float({expression})")).script
    assert size_of(script, SimpleNamespace(**_settings())).without_positions == SMOKE


def test_the_limit_is_named_with_where_it_comes_from() -> None:
    """At the limit is within it; above it the refusal says both numbers."""
    rules = Rules(parameters=100, parameters_from="1.05 times the 95 of retnet")
    assert check_parameters(Size(100, 90), rules).detail == "100 of at most 100, 1.05 times the 95 of retnet"
    with pytest.raises(CheckFailed, match=r"101 parameters .* allows 100 at this profile, 1.05 times the 95 of retnet"):
        check_parameters(Size(101, 90), rules)
    assert check_parameters(Size(10**9, 1), Rules()).figures["limit"] is None


def test_baselines_that_do_not_build_are_left_out(script_text: Callable[..., str]) -> None:
    """Sizes that do not suit one baseline leave the others; where none builds, that is an error."""
    broken = script_text(None, (PROJECTION, "raise ValueError('odd')"))
    asked = Baselines({"softmax": script_text(None), "broken": broken}, CONFIG)
    assert count(asked) == {"softmax": SMOKE + 128 * 128}
    with pytest.raises(ValueError, match="broken: odd"):
        count(Baselines({"broken": broken}, CONFIG))


def _settings() -> dict[str, object]:
    return {field: getattr(CONFIG, field) for field in CONFIG.__struct_fields__}
