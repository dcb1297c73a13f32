"""Softmax attention in all its shapes (mha, mqa, gqa, mla, local, sparse, nsa) against dense loops over positions."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

Readable = Callable[[int, int], set[int]]


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, readable: Readable) -> torch.Tensor:
    """Softmax attention of (B, T, H, d), where head h at token t reads the tokens readable(h, t)."""
    B, T, H, d = q.shape
    y = q.new_zeros(B, T, H, v.shape[3])
    for t in range(T):
        for h in range(H):
            places = sorted(readable(h, t))
            weight = (torch.einsum("bd,bsd->bs", q[:, t, h], k[:, places, h]) / math.sqrt(d)).softmax(-1)
            y[:, t, h] = torch.einsum("bs,bsd->bd", weight, v[:, places, h])
    return y


def everything(h: int, t: int) -> set[int]:
    return set(range(t + 1))


def qkv(module: Any, x_BTC: torch.Tensor) -> list[torch.Tensor]:
    B, T, C = x_BTC.shape
    return [part.view(B, T, module.n_head, -1) for part in module.c_attn(x_BTC).split(C, dim=2)]


def mha(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    return module.c_proj(attend(*qkv(module, x_BTC), everything).flatten(2))


def shared(module: Any, x_BTC: torch.Tensor, n_group: int) -> torch.Tensor:
    H, d = module.n_head, module.head_dim
    q, k, v = module.c_attn(x_BTC).split((H * d, n_group * d, n_group * d), dim=2)
    group_of_head = [h * n_group // H for h in range(H)]
    k, v = (u.unflatten(2, (n_group, d))[:, :, group_of_head] for u in (k, v))
    return module.c_proj(attend(q.unflatten(2, (H, d)), k, v, everything).flatten(2))


def mqa(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    return shared(module, x_BTC, n_group=1)


def gqa(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    return shared(module, x_BTC, n_group=2)


def local(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    def window(h: int, t: int) -> set[int]:
        return set(range(max(0, t - module.window + 1), t + 1))

    return module.c_proj(attend(*qkv(module, x_BTC), window).flatten(2))


def sparse(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    b = module.block

    def chosen(h: int, t: int) -> set[int]:
        own = t // b
        blocks = {0, own, max(0, own - 1), max(0, own - 2)}
        blocks |= {int(block) for block in module.blocks_HNA[h, own] if block >= 0}
        return {s for block in blocks for s in range(block * b, block * b + b) if s <= t}

    return module.c_proj(attend(*qkv(module, x_BTC), chosen).flatten(2))


def rotate(x_BTHd: torch.Tensor) -> torch.Tensor:
    """Rotary embedding through complex numbers."""
    T, d = x_BTHd.shape[1], x_BTHd.shape[3]
    rate = 10000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    turn = torch.polar(torch.ones(T, 1, d // 2).double(), torch.arange(T).double()[:, None, None] * rate)
    pairs = torch.complex(x_BTHd[..., : d // 2], x_BTHd[..., d // 2 :]) * turn
    return torch.cat((pairs.real, pairs.imag), dim=-1)


def mla(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    H, d, r = module.n_head, module.head_dim, module.rope_dim
    query = module.q_up(module.q_norm(module.q_down(x_BTC))).unflatten(2, (H, d + r))
    latent, rotary_key = module.kv_down(x_BTC).split((module.kv_rank, r), dim=2)
    key_value = module.kv_up(module.kv_norm(latent)).unflatten(2, (H, 2 * d))
    shared_key = rotate(rotary_key[:, :, None]).repeat(1, 1, H, 1)
    q = torch.cat((query[..., :d], rotate(query[..., d:])), dim=-1)
    k = torch.cat((key_value[..., :d], shared_key), dim=-1)
    return module.c_proj(attend(q, k, key_value[..., d:], everything).flatten(2))


def nsa(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    """One sequence at a time, since every token of every sequence chooses its own blocks."""
    H, d, b, T = module.n_query, module.head_dim, module.block, x_BTC.shape[1]
    rows = []
    for x_1TC in x_BTC.split(1):
        q = rotate(module.c_query(x_1TC).unflatten(2, (H, d)))
        k_v = module.c_key_value(x_1TC).unflatten(2, (2, d))
        k, v = rotate(k_v[:, :, :1]).expand(-1, -1, H, -1), k_v[:, :, 1:].expand(-1, -1, H, -1)
        mean_k, mean_v = (u[:, : T // b * b].unflatten(1, (-1, b)).mean(2) for u in (k, v))
        y_mean, best = torch.zeros_like(q), []
        for t in range(T):
            n_past, own = (t + 1) // b, t // b
            weight = (torch.einsum("hd,nhd->hn", q[0, t], mean_k[0, :n_past]) / d**0.5).softmax(-1)
            y_mean[0, t] = torch.einsum("hn,nhd->hd", weight, mean_v[0, :n_past])
            fixed = {0, own, max(0, own - 1)}
            ranked = sorted(set(range(n_past)) - fixed, key=lambda n: -weight.mean(0)[n].item())
            best.append(fixed | set(ranked[: module.n_selected - len(fixed)]))
        y_best = attend(
            q, k, v, lambda h, t, best=best: {s for n in best[t] for s in range(n * b, n * b + b) if s <= t}
        )
        y_near = attend(q, k, v, lambda h, t: set(range(max(0, t - module.window + 1), t + 1)))
        gates = torch.sigmoid(module.gate(x_1TC)).chunk(3, dim=2)
        rows.append(sum(gate[..., None] * y for gate, y in zip(gates, (y_mean, y_best, y_near), strict=True)))
    return module.c_proj(torch.cat(rows).flatten(2))


CASES = [
    (mha, {}, {}),
    (mqa, {"n_head": 4}, {}),
    (gqa, {"n_head": 8}, {}),
    (mla, {}, {}),
    (local, {"block_size": 128}, {}),
    (sparse, {}, {"block": 4}),
    (nsa, {}, {"block": 8, "n_selected": 5, "window": 16}),
]


@pytest.mark.parametrize(("reference", "sizes", "constants"), CASES, ids=[case[0].__name__ for case in CASES])
def test_is_softmax_over_the_right_tokens(
    build: Callable[..., nn.Module],
    agrees_at_all_lengths: Callable[..., None],
    reference: Callable[[Any, torch.Tensor], torch.Tensor],
    sizes: dict[str, int],
    constants: dict[str, int],
) -> None:
    """The layer gives what a loop over positions and heads gives that reads the documented tokens."""
    agrees_at_all_lengths(build(reference.__name__, sizes=sizes, **constants), reference)


def test_random_blocks_are_distinct_and_earlier(build: Callable[..., nn.Module]) -> None:
    """Each query block reads seven different blocks once there are enough, none of them later, and heads differ."""
    blocks_HNA = build("sparse", sizes={"block_size": 2048}).blocks_HNA
    for per_head in blocks_HNA:
        for own, row in enumerate(per_head.tolist()):
            read = [block for block in row if block >= 0]
            assert len(set(read)) == len(read) == min(own + 1, 7)
            assert max(read) == own
    assert not torch.equal(blocks_HNA[0], blocks_HNA[1])


def test_gated_branches_mix(build: Callable[..., nn.Module]) -> None:
    """With gates at zero native sparse attention gives half of each branch, so all three matter to the output."""
    module: Any = build("nsa", block=8, n_selected=3, window=16)
    x_BTC = torch.randn(1, 60, 32)
    nn.init.zeros_(module.gate.weight)
    whole = module(x_BTC)
    module.slide = lambda q, k, v: torch.zeros_like(q)
    without_window = module(x_BTC)
    assert not F.mse_loss(whole, without_window) < 1e-6
