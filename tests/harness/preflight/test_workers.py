"""Two real processes that share the model."""

from collections.abc import Callable

import pytest

from harness.preflight.found import CheckFailed
from harness.preflight.preflight import Preflight
from harness.preflight.report import Room, Rules

RETURN = "return self.resid_dropout(self.c_proj(y))"
RULES = Rules(causal=False)
SHARED = Room(published_workers=2)


def test_two_workers_come_to_the_same_gradients(preflight: Callable[..., Preflight]) -> None:
    """A profile that is meant for several GPUs is tried with two processes; weights that nothing uses do not matter."""
    idle = "self.use_pos_emb = True", "self.use_pos_emb, self.idle = False, nn.Parameter(torch.ones(3))"
    checks = preflight(None, idle, rules=RULES, room=SHARED)
    checks.run_all()
    (found,) = [check for check in checks.checks if check.name == "workers"]
    assert found.figures["difference"] == 0


@pytest.mark.parametrize(
    ("returns", "said"),
    [
        ("self.c_proj(y.detach() if next(self.calls) == 2 else y)", "differs between the workers"),
        ("self.c_proj(y) * (1 if not dist.is_initialized() else 1 / (1 - dist.get_rank()))", "differs|failed"),
    ],
)
def test_a_model_that_cannot_be_shared_is_refused(preflight: Callable[..., Preflight], returns: str, said: str) -> None:
    """What only fails in company is found, with the last line of the worker that failed."""
    counted = "self.use_pos_emb = True", "self.use_pos_emb, self.calls = True, iter(range(99))"
    checks = preflight(None, counted, (RETURN, f"return {returns}"), rules=RULES, room=SHARED)
    with pytest.raises(CheckFailed, match=said):
        checks.run_all()
    assert checks.current == "workers"
