"""Causality by derivatives."""

from collections.abc import Callable

import pytest

from harness.preflight.causal import NotCausal
from harness.preflight.gradients import check_gradients, positions
from harness.preflight.subject import Subject

Make = Callable[..., Subject]

RETURN = "return self.resid_dropout(self.c_proj(y))"


@pytest.mark.parametrize("size", [2, 3, 64, 128])
def test_the_untouched_script_has_no_slope_in_a_later_token(subject: Make, size: int) -> None:
    """Exactly none, for windows down to two tokens."""
    looked_at = subject(None, block_size=size)
    found = check_gradients(looked_at.build(looked_at.small), looked_at.small)
    assert found.figures["largest_gradient"] == 0


@pytest.mark.parametrize(
    ("returns", "said"),
    [
        ("self.c_proj(y + y.roll(-1, 1) - y.roll(-1, 1).detach())", "position 0 have a slope in the embedding at pos"),
        ("self.c_proj(y) + (0 if self.training else y.mean(1, keepdim=True))", "in evaluation mode"),
        ("self.c_proj(y + y.flip(0) - y.flip(0).detach())", "another sequence of the batch"),
        ("self.c_proj(y) * (y.roll(-1, 1) * 0).sqrt()", "have a slope"),
    ],
)
def test_a_slope_is_found_where_no_logit_moves(subject: Make, returns: str, said: str) -> None:
    """A path that cancels in the values shows in the derivatives, and so does one that is no number."""
    looked_at = subject(None, (RETURN, f"return {returns}"))
    with pytest.raises(NotCausal, match=said):
        check_gradients(looked_at.build(looked_at.small), looked_at.small)


def test_a_model_without_a_slope_passes(subject: Make) -> None:
    """Logits that do not depend on the embedding at all leak nothing."""
    looked_at = subject(None, ("self.ln_f(x)", "self.ln_f(x.detach() * 0)"))
    assert check_gradients(looked_at.build(looked_at.small), looked_at.small).figures["largest_gradient"] == 0


def test_chunk_edges_are_among_the_positions() -> None:
    """The last one has no later one and is not among them."""
    assert {0, 15, 16, 63, 64, 126} <= set(positions(128))
    assert all(0 <= min(positions(T)) <= max(positions(T)) <= T - 2 for T in (2, 3, 17, 128, 1024))
