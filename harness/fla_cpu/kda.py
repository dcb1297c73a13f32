"""Kimi delta attention: the delta rule with a decay a key channel (Kimi Team 2025, arXiv:2510.26692)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from harness.fla_cpu.dplr import diagonal_plus_low_rank
from harness.fla_cpu.norms import l2_norm
from harness.fla_cpu.precision import promote


def kimi_delta_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    A_log: Tensor | None = None,
    dt_bias: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    use_gate_in_kernel: bool = False,
    use_beta_sigmoid_in_kernel: bool = False,
    allow_neg_eigval: bool = False,
    lower_bound: float | None = None,
    state_v_first: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return S_t = Diag(e^g) S_{t-1} + beta k (v - (Diag(e^g) S_{t-1})^T k)^T read by q and, if asked, the last state.

    q, k: (B, T, H, K). v: (B, T, HV, V). g: (B, T, HV, K), log decay. beta: (B, T, HV). The flags are those of
    `delta_rules.gated_delta_rule`; with `lower_bound` the gate is lower_bound * sigmoid(e^A_log (g + dt_bias)).
    """
    dtype = q.dtype
    q, k, g, beta = promote(q), promote(k), promote(g), promote(beta)
    if use_qk_l2norm_in_kernel:
        q, k = l2_norm(q), l2_norm(k)
    repeats = v.shape[2] // k.shape[2]
    q, k = q.repeat_interleave(repeats, 2), k.repeat_interleave(repeats, 2)
    if use_gate_in_kernel:
        g = log_decay(g, A_log, dt_bias, lower_bound)
    if use_beta_sigmoid_in_kernel:
        beta = beta.sigmoid() * (2.0 if allow_neg_eigval else 1.0)
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    written = k * beta.unsqueeze(-1)
    # What the step erases is the decayed state along k: a = -e^g k reads it from the state before the decay.
    o, state = diagonal_plus_low_rank(q, written, v, -k * g.exp(), written, g, scale, initial_state, state_v_first)
    return o.to(dtype), state if output_final_state else None


def log_decay(g: Tensor, A_log: Tensor | None, dt_bias: Tensor | None, lower_bound: float | None) -> Tensor:
    """Return the log decay from the raw gate g (B, T, HV, K)."""
    heads = g.shape[-2]
    if dt_bias is not None:
        g = g + promote(dt_bias).view(heads, -1)
    rate = None if A_log is None else promote(A_log).exp().view(heads, 1)
    if lower_bound is not None:
        return lower_bound * (g if rate is None else rate * g).sigmoid()
    assert rate is not None
    return -rate * functional.softplus(g)
