"""Mechanisms whose state decays (gla, retnet, hgrn2, mamba2) against their recurrences, one token at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, decay: torch.Tensor, scale: float) -> torch.Tensor:
    """S_t = diag(decay_t) S_{t-1} + k_t v_t^T, y_t = scale S_t^T q_t, all (B, T, H, ...); decay may be one a head."""
    B, T, H, K = k.shape
    S, outputs = k.new_zeros(B, H, K, v.shape[-1]), []
    for t in range(T):
        S = decay[:, t, :, :, None] * S + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(scale * torch.einsum("bhkv,bhk->bhv", S, q[:, t]))
    return torch.stack(outputs, dim=1)


def rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def convolve(x_BTC: torch.Tensor, weight_C1K: torch.Tensor, bias_C: torch.Tensor) -> torch.Tensor:
    """Depthwise causal convolution, then silu, as a sum over shifted copies."""
    y_BTC, K = torch.zeros_like(x_BTC) + bias_C, weight_C1K.shape[2]
    for shift in range(min(K, x_BTC.shape[1])):
        y_BTC[:, shift:] += weight_C1K[:, 0, K - 1 - shift] * x_BTC[:, : x_BTC.shape[1] - shift]
    return F.silu(y_BTC)


def gla(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    mixer, H = module.mixer, 2
    q, k, v, gate = (
        linear(x_BTC).unflatten(2, (H, -1)) for linear in (mixer.q_proj, mixer.k_proj, mixer.v_proj, mixer.g_proj)
    )
    decay = torch.sigmoid(mixer.gk_proj(x_BTC)).pow(1 / 16).unflatten(2, (H, -1))
    y = run(q, k, v, decay, q.shape[-1] ** -0.5)
    return mixer.o_proj((rms(y, mixer.g_norm_swish_gate.weight) * F.silu(gate)).flatten(2))


def rotate(x_BTHd: torch.Tensor) -> torch.Tensor:
    """Rotary embedding through complex numbers."""
    T, d = x_BTHd.shape[1], x_BTHd.shape[3]
    rate = 10000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    turn = torch.polar(torch.ones(T, 1, d // 2).double(), torch.arange(T).double()[:, None, None] * rate)
    pairs = torch.complex(x_BTHd[..., : d // 2], x_BTHd[..., d // 2 :]) * turn
    return torch.cat((pairs.real, pairs.imag), dim=-1)


def retnet(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    mixer, H = module.mixer, 2
    q, k, v, gate = (
        linear(x_BTC).unflatten(2, (H, -1)) for linear in (mixer.q_proj, mixer.k_proj, mixer.v_proj, mixer.g_proj)
    )
    decay = (1 - 2.0 ** (-5 - torch.arange(H).double())).view(1, 1, H, 1).expand(1, x_BTC.shape[1], H, 1)
    y = run(rotate(q), rotate(k), v, decay, q.shape[-1] ** -0.5)
    return mixer.o_proj((rms(y, mixer.g_norm_swish_gate.weight) * F.silu(gate)).flatten(2))


def hgrn2(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    mixer = module.mixer
    forget = torch.sigmoid(mixer.f_proj(x_BTC))
    q, k, v, decay = (
        u.unflatten(2, (mixer.num_heads, -1))
        for u in (F.silu(mixer.q_proj(x_BTC)), 1 - forget, mixer.i_proj(x_BTC), forget)
    )
    y = run(q, k, v, decay, q.shape[-1] ** -0.5)
    return mixer.o_proj(rms(y.flatten(2), mixer.g_norm.weight))


def mamba2(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    H, p, N = module.n_head, module.head_dim, module.state
    z, conv_input, dt = module.c_in(x_BTC).split((H * p, H * p + 2 * N, H), dim=2)
    x, b, c = convolve(conv_input, module.conv.weight, module.conv.bias).split((H * p, N, N), dim=2)
    dt_BTH = torch.log1p(torch.exp(dt + module.dt_bias))
    decay = torch.exp(-module.log_A.exp() * dt_BTH)[..., None]
    x_BTHp = x.unflatten(2, (H, p))
    b_BTHN, c_BTHN = (u[:, :, None].expand(-1, -1, H, -1) for u in (b, c))
    y = run(c_BTHN, b_BTHN, dt_BTH[..., None] * x_BTHp, decay, 1.0) + module.D[:, None] * x_BTHp
    return module.c_proj(rms(y.flatten(2) * F.silu(z), module.norm.weight))


@pytest.mark.parametrize("reference", [gla, retnet, hgrn2, mamba2], ids=lambda reference: reference.__name__)
def test_parallel_form_is_the_recurrence(
    build: Callable[..., nn.Module],
    agrees_at_all_lengths: Callable[..., None],
    reference: Callable[[Any, torch.Tensor], torch.Tensor],
) -> None:
    """The layer gives what its docstring's recurrence gives one token at a time."""
    agrees_at_all_lengths(build(reference.__name__), reference)
