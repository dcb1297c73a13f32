"""Mechanisms that correct their state (delta rules, RWKV-7) against their recurrences, one token at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def heads(x_BTC: torch.Tensor, H: int) -> torch.Tensor:
    return x_BTC.unflatten(2, (H, -1))


def unit(x: torch.Tensor) -> torch.Tensor:
    return x / (x.square().sum(-1, keepdim=True) + 1e-6).sqrt()


def rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight


def convolve(linear: nn.Linear, convolution: nn.Conv1d, x_BTC: torch.Tensor) -> torch.Tensor:
    """silu of a depthwise causal convolution of a projection, as a sum over shifted copies."""
    x_BTC, weight_C1K = linear(x_BTC), convolution.weight
    y_BTC, K = torch.zeros_like(x_BTC), weight_C1K.shape[2]
    for shift in range(min(K, x_BTC.shape[1])):
        y_BTC[:, shift:] += weight_C1K[:, 0, K - 1 - shift] * x_BTC[:, : x_BTC.shape[1] - shift]
    return F.silu(y_BTC)


def correct(S: torch.Tensor, k: torch.Tensor, v: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """One delta step: S + beta k (v - S^T k)^T, with k, v (B, H, ...) and beta (B, H)."""
    error = v - torch.einsum("bhkv,bhk->bhv", S, k)
    return S + beta[..., None, None] * k[..., None] * error[..., None, :]


def convolved_heads(mixer: Any, x_BTC: torch.Tensor, H: int) -> list[torch.Tensor]:
    names = ("q", "k", "v")
    return [heads(convolve(getattr(mixer, f"{n}_proj"), getattr(mixer, f"{n}_conv1d"), x_BTC), H) for n in names]


def delta(mixer: Any, x_BTC: torch.Tensor, H: int) -> torch.Tensor:
    q, k, v = convolved_heads(mixer, x_BTC, H)
    q, k, beta = unit(q), unit(k), torch.sigmoid(mixer.b_proj(x_BTC))
    S, outputs = k.new_zeros(len(k), H, k.shape[3], v.shape[3]), []
    for t in range(x_BTC.shape[1]):
        S = correct(S, k[:, t], v[:, t], beta[:, t])
        outputs.append(torch.einsum("bhkv,bhk->bhv", S, q[:, t]) / q.shape[3] ** 0.5)
    return mixer.o_proj(rms(torch.stack(outputs, dim=1), mixer.o_norm.weight).flatten(2))


def deltanet(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    return delta(module.mixer, x_BTC, H=2)


def gated_deltanet(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    mixer, H = module.mixer, 2
    q, k, v = convolved_heads(mixer, x_BTC, H)
    q, k, beta = unit(q), unit(k), torch.sigmoid(mixer.b_proj(x_BTC))
    decay = torch.exp(-mixer.A_log.exp() * F.softplus(mixer.a_proj(x_BTC) + mixer.dt_bias))
    S, outputs = k.new_zeros(len(k), H, k.shape[3], v.shape[3]), []
    for t in range(x_BTC.shape[1]):
        S = correct(decay[:, t, :, None, None] * S, k[:, t], v[:, t], beta[:, t])
        outputs.append(torch.einsum("bhkv,bhk->bhv", S, q[:, t]) / q.shape[3] ** 0.5)
    y = rms(torch.stack(outputs, dim=1), mixer.o_norm.weight) * F.silu(heads(mixer.g_proj(x_BTC), H))
    return mixer.o_proj(y.flatten(2))


def gated_deltaproduct(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    mixer, H, J = module.mixer, 2, 2
    q = unit(heads(convolve(mixer.q_proj, mixer.q_conv1d, x_BTC), H))
    k = unit(convolve(mixer.k_proj, mixer.k_conv1d, x_BTC).unflatten(2, (J, H, -1)))
    v = convolve(mixer.v_proj, mixer.v_conv1d, x_BTC).unflatten(2, (J, H, -1))
    beta = 2 * torch.sigmoid(mixer.b_proj(x_BTC)).unflatten(2, (J, H))
    decay = torch.exp(-mixer.A_log.exp() * F.softplus(mixer.a_proj(x_BTC) + mixer.dt_bias))
    S, outputs = k.new_zeros(len(k), H, k.shape[4], v.shape[4]), []
    for t in range(x_BTC.shape[1]):
        S = decay[:, t, :, None, None] * S
        for j in range(J):
            S = correct(S, k[:, t, j], v[:, t, j], beta[:, t, j])
        outputs.append(torch.einsum("bhkv,bhk->bhv", S, q[:, t]) / q.shape[3] ** 0.5)
    y = rms(torch.stack(outputs, dim=1), mixer.o_norm.weight) * F.silu(heads(mixer.g_proj(x_BTC), H))
    return mixer.o_proj(y.flatten(2))


def rwkv7(module: Any, x_BTC: torch.Tensor) -> torch.Tensor:
    (B, T, C), H = x_BTC.shape, module.n_head
    before = torch.cat((torch.zeros_like(x_BTC[:, :1]), x_BTC[:, :-1]), dim=1)
    x = {name: x_BTC + share * (before - x_BTC) for name, share in module.shift.items()}
    r, k, v = module.r_proj(x["r"]), module.k_proj(x["k"]), module.v_proj(x["v"])
    w = torch.exp(-torch.sigmoid(module.w_bias + module.w_lora(x["w"])) * torch.tensor(-0.5).double().exp())
    a = torch.sigmoid(module.a_bias + module.a_lora(x["a"]))
    n = F.normalize(heads(k * module.key_norm_scale, H), dim=-1)
    k = k * (1 + (a - 1) * module.key_rate)
    r, w, k, v, a, p = (heads(u.expand(B, T, C), H) for u in (r, w, k, v, a, module.bonus))
    S, outputs = k.new_zeros(B, H, C // H, C // H), []
    for t in range(T):
        removed = torch.einsum("bhk,bhv->bhkv", a[:, t] * n[:, t], torch.einsum("bhkv,bhk->bhv", S, n[:, t]))
        S = w[:, t, :, :, None] * S - removed + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append(torch.einsum("bhkv,bhk->bhv", S, r[:, t]))
    y = torch.stack(outputs, dim=1)
    centred = y - y.mean(-1, keepdim=True)
    scale = (centred.square().mean(-1, keepdim=True) + module.norm.eps).sqrt()
    y = (centred / scale).flatten(2) * module.norm.weight + module.norm.bias
    y = y + ((r * p * k).sum(-1, keepdim=True) * v).flatten(2)
    return module.c_proj(module.g_lora(x["g"]) * y)


REFERENCES = [deltanet, gated_deltanet, gated_deltaproduct, rwkv7]


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: reference.__name__)
def test_parallel_form_is_the_recurrence(
    build: Callable[..., nn.Module],
    agrees_at_all_lengths: Callable[..., None],
    reference: Callable[[Any, torch.Tensor], torch.Tensor],
) -> None:
    """The layer gives what its docstring's recurrence gives one token at a time."""
    module = build(reference.__name__)
    if reference is rwkv7:
        # the bonus and the learning rate's bias start at zero, where a mistake in them would not show
        nn.init.normal_(module.bonus)
        nn.init.normal_(module.a_bias)
    agrees_at_all_lengths(module, reference)
