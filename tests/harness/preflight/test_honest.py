"""Honest mechanisms in the ways that people write them: no check takes them for a cheat."""

from collections.abc import Callable

import pytest

from harness.preflight.preflight import Preflight
from harness.preflight.report import Rules

MADE = """class CausalSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.H, C = config.n_head, config.n_embd
        self.qkv = nn.Linear(C, 3 * C, bias=False)
        self.c_proj = nn.Linear(C, C, bias=False)
        self.filter = nn.Parameter(torch.randn(config.block_size, C) * 0.02)

    def heads(self, x):
        return (u.unflatten(2, (self.H, -1)).transpose(1, 2) for u in self.qkv(x).chunk(3, 2))

"""

HONEST = {
    "a filter as long as block_size, by Fourier transform": """
    def forward(self, x):
        (q, k, v), T = self.qkv(x).chunk(3, 2), x.shape[1]
        spectrum = torch.fft.rfft(k * v, n=2 * T, dim=1) * torch.fft.rfft(self.filter[:T], n=2 * T, dim=0)
        return self.c_proj(q * torch.fft.irfft(spectrum, n=2 * T, dim=1)[:, :T])
""",
    "a loop over chunks that writes slices": """
    def forward(self, x):
        q, k, v = self.heads(x)
        y, S = torch.empty_like(v), 0
        for i in range(0, x.shape[1], 16):
            qi, ki, vi = (u[:, :, i : i + 16] for u in (q, k, v))
            y[:, :, i : i + 16] = (qi @ ki.mT).tril() @ vi + (qi @ S if i else 0)
            S = S + ki.mT @ vi
        return self.c_proj(y.transpose(1, 2).flatten(2) + self.filter[0])
""",
    "a loop over tokens": """
    def forward(self, x):
        (q, k, v), S, y = self.qkv(x).chunk(3, 2), 0, []
        for qt, kt, vt in zip(q.unbind(1), k.unbind(1), v.unbind(1)):
            S = 0.9 * S + torch.sigmoid(kt) * vt
            y.append(S * qt)
        return self.c_proj(torch.stack(y, 1) + self.filter[0])
""",
    "a prefix sum less one's own, recomputed in the backward pass": """
    def mix(self, x):
        q, k, v = self.qkv(x).chunk(3, 2)
        kv = F.softplus(k) * v
        return F.silu(q) * (kv.cumsum(1) - kv) / torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]

    def forward(self, x):
        from torch.utils.checkpoint import checkpoint
        return self.c_proj(checkpoint(self.mix, x, use_reentrant=False) + self.filter[0])
""",
    "a window gathered by unfold": """
    def forward(self, x):
        q, k, v = self.heads(x)
        k, v = (F.pad(u, (0, 0, 7, 0)).unfold(2, 8, 1) for u in (k, v))
        past = torch.arange(x.shape[1], device=x.device)[:, None] + torch.arange(8, device=x.device) >= 7
        weights = torch.einsum("bhtd,bhtdw->bhtw", q, k).masked_fill(~past, -1e9).softmax(-1)
        y = torch.einsum("bhtw,bhtdw->bhtd", weights, v)
        return self.c_proj(y.transpose(1, 2).flatten(2) + self.filter[0])
""",
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_mechanism_passes(
    preflight: Callable[..., Preflight], script_text: Callable[..., str], name: str
) -> None:
    """Every check passes without a warning, whatever the rounding, the loops and the tables of a mechanism."""
    text = script_text(None)
    start, end = text.index("class CausalSelfAttention"), text.index("class MLP")
    made = f"{MADE}{HONEST[name].removeprefix(chr(10))}\n\n"
    checks = preflight(None, (text[start:end], made), rules=Rules(causal=True, exponent=1.4), block_size="80")
    checks.run_all()
    assert checks.warnings == []
