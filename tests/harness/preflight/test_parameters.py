"""Counting a model, and the limit on it."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from harness.preflight.found import CheckFailed
from harness.preflight.parameters import Size, check_parameters, largest, looked_at, size_of
from harness.preflight.report import Baseline, Rules
from harness.preflight.subject import Subject
from harness.profiles import load_profile, resolve

PROJECTION = "self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)"
CONFIG = resolve(load_profile("smoke"), seed=1, device="cpu")
SMOKE = 256 * 128 + 4 * 12 * 128**2 + 9 * 128
"""The untouched script's: token embedding, blocks, norms."""


def test_learned_positions_are_told_apart(subject: Callable[..., Subject]) -> None:
    """The size that is shown leaves them out, the limit takes everything: a script may call anything a position."""
    script = subject(None).script
    size = size_of(script, SimpleNamespace(**_settings()))
    assert size == Size(SMOKE + 128 * 128, SMOKE, stored=SMOKE + 128 * 128)


@pytest.mark.parametrize("expression", ["torch.ones(2).sum().item()", "torch.ones(2).numpy().sum()"])
def test_a_model_that_computes_with_values_while_it_builds_is_counted_too(
    subject: Callable[..., Subject], expression: str
) -> None:
    """Numbers that code takes out of tensors in __init__ are no obstacle to counting."""
    script = subject(None, (PROJECTION, f"{PROJECTION}; self.scale = float({expression})")).script
    assert size_of(script, SimpleNamespace(**_settings())).without_positions == SMOKE


def test_the_limit_is_named_with_where_it_comes_from() -> None:
    """At the limit is within it; above it the refusal says both numbers; without one there is only the number."""
    rules, baseline = Rules(parameters=1.05), Baseline("retnet", 100)
    found = check_parameters(Size(105, 90), rules, baseline)
    assert found.detail == "105 of at most 105, 1.05 times the 100 of retnet"
    with pytest.raises(CheckFailed, match=r"106 parameters .* allows 105 at .*, 1.05 times the 100 of retnet"):
        check_parameters(Size(106, 90), rules, baseline)
    assert check_parameters(Size(10**9, 1), Rules(), None).warnings == ()
    assert "no baseline of the task can be built" in check_parameters(Size(10**9, 1), rules, None).warnings[0]


DRAWN = "self.register_buffer('drawn', torch.randn(128, 1000))"
MASK = "self.register_buffer('mask', torch.tril(torch.ones(1, 1, 1024, 1024)){})"


def test_a_buffer_that_is_kept_counts(subject: Callable[..., Subject]) -> None:
    """Features that are drawn once and saved are room; those that the code draws again are not."""
    for registered, more in ((DRAWN, 4 * 128_000), (DRAWN.replace("))", "), persistent=False)"), 0)):
        size = size_of(
            subject(None, (PROJECTION, f"{PROJECTION}; {registered}")).script, SimpleNamespace(**_settings())
        )
        assert (size.all - SMOKE - 128 * 128, size.buffers, size.without_positions) == (more, more, SMOKE)
    limit = Rules(parameters=1.05), Baseline("retnet", SMOKE)
    with pytest.raises(CheckFailed, match=r"and 512,000 in buffers among them; .* persistent=False"):
        check_parameters(Size(SMOKE + 512_000, SMOKE, 512_000), *limit)


@pytest.mark.parametrize("dtype", ["", ".bool()"])
def test_a_causal_mask_is_a_bit_an_entry(subject: Callable[..., Subject], dtype: str) -> None:
    """Stored as bools or, as often, as floats: looked at, a mask of a million entries in each block is hardly there."""
    script = subject(None, (PROJECTION, f"{PROJECTION}; {MASK.format(dtype)}")).script
    assert looked_at(script, SimpleNamespace(**_settings())).buffers == 4 * 1024 * 1024 // 32


def test_extra_state_is_refused(subject: Callable[..., Subject]) -> None:
    """What a module keeps in no tensor cannot be counted."""
    script = subject(None, (PROJECTION, f"{PROJECTION}; self.get_extra_state = lambda: [1]")).script
    script.CausalSelfAttention.get_extra_state = lambda attention: [1]
    with pytest.raises(CheckFailed, match=r"state dict holds blocks\.0\.attn\._extra_state"):
        size_of(script, SimpleNamespace(**_settings()))


def test_the_largest_baseline_that_builds_counts(
    script_text: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Sizes that do not suit one baseline leave the others, and it is said; where none builds, there is none."""
    broken = script_text(None, (PROJECTION, "raise ValueError('odd')"))
    narrow = script_text(None, ("4 * config.n_embd, bias", "config.n_embd, bias"), ("nn.Linear(4 * ", "nn.Linear("))
    settings = SimpleNamespace(**_settings())
    sources = {"narrow": narrow, "softmax": script_text(None), "broken": broken}
    assert largest(sources, settings) == Baseline("softmax", SMOKE + 128 * 128)
    assert capsys.readouterr().err == "linbench: broken does not limit parameters, for it does not build: odd\n"
    assert largest({"broken": broken}, settings) is None


def _settings() -> dict[str, object]:
    return {field: getattr(CONFIG, field) for field in CONFIG.__struct_fields__}
