"""How long FLA's layers take on a CPU: `python -m harness.bench.fla_cpu` prints a table of forward and backward times.

One layer at B=8, T=128, D=128, H=2, and the training step of a 4-layer model as a multiple of that with softmax
attention. Times are the best of interleaved rounds, which a busy machine disturbs least.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.fla_cpu import install

BATCH, LENGTH, WIDTH, HEADS, LAYERS, VOCABULARY = 8, 128, 128, 2, 4, 256
ROUNDS = 7
LIMIT_MS, LIMIT_RATIO = 60.0, 3.0


class Softmax(nn.Module):
    """Causal scaled dot product attention, the mechanism that the ratios compare with."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        q, k, v = (y.unflatten(-1, (HEADS, -1)).transpose(1, 2) for y in self.qkv(x).chunk(3, -1))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return (self.out(y.transpose(1, 2).flatten(2)),)


class Block(nn.Module):
    """A pre-norm transformer block around any mechanism that returns a tuple."""

    def __init__(self, mechanism: nn.Module) -> None:
        super().__init__()
        self.mechanism = mechanism
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mechanism(self.norms[0](x))[0]
        y: Tensor = x + self.mlp(self.norms[1](x))
        return y


def mechanisms() -> dict[str, Callable[[], nn.Module]]:
    """Return a constructor of every mechanism at the size of the benchmark, with FLA's default options otherwise."""
    from fla import layers
    from fla.layers.simple_gla import SimpleGatedLinearAttention

    size: dict[str, Any] = {"hidden_size": WIDTH, "num_heads": HEADS}
    head = WIDTH // HEADS
    sparse = {
        "hidden_size": WIDTH,
        "num_heads": 16,
        "num_kv_heads": 1,
        "head_dim": 8,
        "block_size": 16,
        "window_size": 32,
    }
    return {
        "softmax": Softmax,
        "gla": lambda: layers.GatedLinearAttention(**size),
        "deltanet": lambda: layers.DeltaNet(**size),
        "gated_deltanet": lambda: layers.GatedDeltaNet(**size, head_dim=head),
        "gated_deltaproduct": lambda: layers.GatedDeltaProduct(**size, head_dim=head),
        "retnet": lambda: layers.MultiScaleRetention(**size),
        "linear": lambda: layers.LinearAttention(**size),
        "simple_gla": lambda: SimpleGatedLinearAttention(**size),
        "hgrn": lambda: layers.HGRNAttention(hidden_size=WIDTH),
        "hgrn2": lambda: layers.HGRN2Attention(hidden_size=WIDTH, expand_ratio=head),
        "mamba2": lambda: layers.Mamba2(hidden_size=WIDTH),
        "rwkv7": lambda: layers.RWKV7Attention(hidden_size=WIDTH, head_dim=head, layer_idx=0, num_hidden_layers=LAYERS),
        "kda": lambda: layers.KimiDeltaAttention(**size, head_dim=head),
        "nsa": lambda: layers.NativeSparseAttention(**sparse, block_counts=4),
    }


def layer_pass(mechanism: nn.Module) -> Callable[[], None]:
    """Return one forward and backward through a layer alone."""
    x = torch.randn(BATCH, LENGTH, WIDTH, requires_grad=True)
    return lambda: mechanism(x)[0].square().mean().backward()


def training_step(build: Callable[[], nn.Module]) -> Callable[[], None]:
    """Return one AdamW step of a small language model on random tokens."""
    blocks = (Block(build()) for _ in range(LAYERS))
    model = nn.Sequential(nn.Embedding(VOCABULARY, WIDTH), *blocks, nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY))
    optimizer = torch.optim.AdamW(model.parameters())
    tokens = torch.randint(VOCABULARY, (BATCH, LENGTH + 1))

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()

    return step


def best_milliseconds(functions: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return the shortest time of every function over interleaved rounds, in ms."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(ROUNDS):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], 1000 * (time.perf_counter() - start))
    return best


def main() -> None:
    """Print the table."""
    install()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        constructors = mechanisms()
        layers = best_milliseconds({name: layer_pass(build()) for name, build in constructors.items()})
        steps = best_milliseconds({name: training_step(build) for name, build in constructors.items()})
    print(f"B={BATCH} T={LENGTH} D={WIDTH} H={HEADS}, {torch.get_num_threads()} threads, float32, best of {ROUNDS}")
    print(f"limits: a layer {LIMIT_MS:.0f} ms, a step {LIMIT_RATIO:.0f} x softmax\n")
    print(f"{'mechanism':<20}{'layer ms':>10}{f'{LAYERS}-layer step ms':>18}{'x softmax':>11}")
    for name, layer_ms in layers.items():
        print(f"{name:<20}{layer_ms:>10.1f}{steps[name]:>18.1f}{steps[name] / steps['softmax']:>11.2f}")


if __name__ == "__main__":
    main()
