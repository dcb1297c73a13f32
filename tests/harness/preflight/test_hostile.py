"""Scripts that cheat, or are broken in ways that only some inputs show: each fails the check that is meant for it."""

from collections.abc import Callable

import pytest
import torch

from harness.preflight.found import CheckFailed
from harness.preflight.preflight import Preflight
from harness.preflight.report import Rules

Make = Callable[..., Preflight]

RETURN = "return self.resid_dropout(self.c_proj(y_BTC))"
INIT = "self.resid_dropout = nn.Dropout(config.dropout)\n\n    def forward(self, x_BTC):"
SHIFT = "before_BHNde = F.pad(state_BHNde[:, :, :-1], (0, 0, 0, 0, 1, 0))"
MIX = "x = x + self.attn(self.ln_1(x))"
LATER = "y_BTC.flip(1).cumsum(1).flip(1)"


def leak(expression: str) -> tuple[str, str]:
    """The linear mechanism with something added to what its output projection reads."""
    return RETURN, f"return self.c_proj(y_BTC + {expression})"


def with_module(module: str, result: str) -> tuple[tuple[str, str], ...]:
    """The linear mechanism with a module of its own in what it returns."""
    return (INIT, f"self.extra = {module}\n        {INIT}"), (RETURN, f"return {result}")


READ = "y_BHTd = self.read(F.elu(q_BHTd) + 1, F.elu(k_BHTd) + 1, v_BHTd)"
DENSE = "F.scaled_dot_product_attention(q_BHTd, k_BHTd, v_BHTd, is_causal=True)"
EAGER = "(q_BHTd @ k_BHTd.mT).where(x_BTC.new_ones(T, T).tril() > 0, -math.inf).softmax(-1) @ v_BHTd"
CIRCULAR = (
    "torch.fft.irfft(torch.fft.rfft(y_BTC.float(), dim=1) * torch.fft.rfft(x_BTC.float().exp(), dim=1), n=T, dim=1)"
)

HOSTILE: dict[str, tuple[str, tuple[tuple[str, str], ...], str]] = {
    "convolution padded on both sides": (
        "causal",
        with_module("nn.Conv1d(config.n_embd, config.n_embd, 3, padding=1)", "self.extra(y_BTC.mT).mT"),
        "no position may see a later one",
    ),
    "chunk that reads its own state": ("causal", ((SHIFT, "before_BHNde = state_BHNde"),), "no position may see"),
    "chunk after next": ("causal", ((SHIFT, "before_BHNde = state_BHNde.roll(-1, 2)"),), "no position may see"),
    "only at full length": (
        "causal",
        (leak(f"({LATER} if T == 96 else 0)"),),
        "no position may see a later one",
    ),
    "only beyond a chunk": ("causal", (leak("(y_BTC[:, 64:65] if T > 64 else 0)"),), "no position may see"),
    "only in training": ("causal", (leak(f"({LATER} if self.training else 0)"),), "in training mode"),
    "only in evaluation": ("causal", (leak(f"(0 if self.training else {LATER})"),), "in evaluation mode"),
    "through the batch": ("causal", (leak("y_BTC.mean(0, keepdim=True)"),), "another sequence"),
    "only through a larger batch": ("causal", (leak("(y_BTC.roll(1, 0) if B > 4 else 0)"),), "another sequence"),
    "batch norm over time": (
        "causal",
        with_module("nn.BatchNorm1d(config.n_embd)", "self.extra(self.c_proj(y_BTC).mT).mT"),
        "in training mode",
    ),
    "normalised over time": (
        "causal",
        ((RETURN, "return self.c_proj(y_BTC / y_BTC.norm(dim=1, keepdim=True))"),),
        "no position may see",
    ),
    "sums from the right": ("causal", (leak(LATER),), "no position may see"),
    "rolled": ("causal", (leak("y_BTC.roll(-1, 1)"),), "no position may see"),
    "circular convolution": ("causal", (leak(CIRCULAR),), "no position may see"),
    "gate that begins closed": (
        "causal",
        (
            (INIT, f"self.gate = nn.Parameter(torch.full((config.n_embd,), -30.0))\n        {INIT}"),
            leak(f"self.gate.sigmoid() * {LATER}"),
        ),
        "no position may see",
    ),
    "projection of zeros": (
        "causal",
        (
            (INIT, f"self.gate = nn.Parameter(torch.zeros(config.n_embd))\n        {INIT}"),
            leak(f"self.gate * {LATER}"),
        ),
        "no position may see",
    ),
    "gradient alone": ("causal", (leak(f"({LATER} - {LATER}.detach())"),), "have a slope in the embedding"),
    "gradient through the batch": ("causal", (leak("(y_BTC.roll(1, 0) - y_BTC.roll(1, 0).detach())"),), "slope"),
    "softmax by another name": ("subquadratic", ((READ, f"y_BHTd = {DENSE}"),), r"operations T\^1\.9"),
    "softmax written out": ("subquadratic", ((READ, f"y_BHTd = {EAGER}"),), r"memory T\^1\.9"),
    "softmax in one block of two": (
        "subquadratic",
        (
            (INIT, f"self.number = CausalSelfAttention.made = CausalSelfAttention.made + 1\n        {INIT}"),
            ("chunk = 64\n", "chunk = 64\n    made = 0\n"),
            (READ, f"y_BHTd = {DENSE} if self.number % 2 else v_BHTd"),
        ),
        "this task allows",
    ),
    "softmax in the block": (
        "subquadratic",
        ((MIX, f"{MIX}; x = x + F.scaled_dot_product_attention(x, x, x, is_causal=True)"),),
        "this task allows",
    ),
    "window as wide as block_size": (
        "subquadratic",
        (
            ("chunk = 64\n", "chunk = 64\n    full = None\n"),
            (INIT, f"self.full = config.block_size\n        {INIT}"),
            (
                READ,
                "y_BHTd = torch.cat([F.scaled_dot_product_attention(*three, is_causal=True) for three in "
                "zip(*(u.split(self.full, 2) for u in (q_BHTd, k_BHTd, v_BHTd)))], 2)",
            ),
        ),
        "blocks that are built for longer windows read",
    ),
    "softmax up to block_size": (
        "subquadratic",
        (
            (INIT, f"self.full = config.block_size\n        {INIT}"),
            (READ, f"y_BHTd = {DENSE} if T <= self.full else v_BHTd"),
        ),
        "blocks that are built for longer windows read",
    ),
    "mask of all pairs": (
        "subquadratic",
        (leak("x_BTC.new_ones(T, T).tril()[:, :1]"),),
        r"memory T\^1\.",
    ),
    "twice as wide": (
        "parameters",
        with_module("nn.Linear(config.n_embd, 9 * config.n_embd)", "self.c_proj(y_BTC) + self.extra(x_BTC)[..., :C]"),
        "this task allows",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_script_is_caught_by_the_check_for_it(
    preflight: Make, script_text: Callable[..., str], name: str
) -> None:
    """The named check fails, and its message says what was seen."""
    check, changes, message = HOSTILE[name]
    rules = Rules(causal=True, exponent=1.4, parameters=1.25, baselines={"linear": script_text("linear")})
    checks = preflight("linear", *changes, rules=rules)
    with pytest.raises(CheckFailed, match=message):
        checks.run_all()
    assert checks.current == check


@pytest.mark.gpu
@pytest.mark.parametrize(
    "name", [name for name, (check, _, _) in HOSTILE.items() if check in ("causal", "subquadratic")]
)
def test_a_hostile_script_is_caught_in_bf16_on_a_gpu(preflight: Make, name: str) -> None:
    """The same in the precision of a training: what bf16 may round away, float32 or the slopes decide."""
    check, changes, _ = HOSTILE[name]
    sizes = {"device": "cuda", "dtype": "bfloat16", "n_embd": "256", "n_head": "4"}
    checks = preflight("linear", *changes, rules=Rules(causal=True, exponent=1.4), **sizes)
    with pytest.raises((CheckFailed, torch.OutOfMemoryError)):
        checks.run_all()
    assert checks.current == check


@pytest.mark.gpu
def test_softmax_at_the_length_of_the_training_alone_is_caught_on_a_gpu(preflight: Make) -> None:
    """Code that knows the profile's length and is linear at every other one."""
    only_here = (READ, f"y_BHTd = {DENSE} if T <= 1024 else v_BHTd")
    sizes = {"device": "cuda", "dtype": "bfloat16", "block_size": "1024"}
    checks = preflight("linear", only_here, rules=Rules(causal=True, exponent=1.4), **sizes)
    with pytest.raises(CheckFailed, match="blocks that are built for longer windows"):
        checks.run_all()


def test_a_convolution_by_fourier_transform_is_no_cheat(preflight: Make) -> None:
    """Rounding that reaches later positions is not taken for a leak where the padding is right."""
    padded = CIRCULAR.replace("dim=1)", "n=2 * T, dim=1)").replace("n=T", "n=2 * T").replace("n=2 * T, n=2", "n=2")
    preflight("linear", leak(f"{padded}[:, :T] / T")).run_all()
