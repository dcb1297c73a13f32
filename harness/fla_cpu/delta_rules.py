"""FLA's delta rule family in the signatures of its autograd functions."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from harness.fla_cpu import delta_rule as scalar
from harness.fla_cpu.dplr import diagonal_plus_low_rank
from harness.fla_cpu.errors import UnsupportedOption
from harness.fla_cpu.norms import l2_norm
from harness.fla_cpu.precision import promote


def _prepare(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, normalize: bool) -> tuple[Tensor, Tensor]:
    """Return q and k, normalised if asked and repeated to as many heads as v has.

    Raises UnsupportedOption for a step size a channel.
    """
    if beta.ndim != 3:
        raise UnsupportedOption(
            f"the delta rule: beta of shape {tuple(beta.shape)} is not supported on a CPU, only (B, T, H)"
        )
    if normalize:
        q, k = l2_norm(q), l2_norm(k)
    groups = v.shape[2] // k.shape[2]
    return (q, k) if groups == 1 else (q.repeat_interleave(groups, 2), k.repeat_interleave(groups, 2))


def delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return the delta rule without decay and, if asked, its last state."""
    return gated_delta_rule(
        q, k, v, None, beta, scale, initial_state, output_final_state, False, use_qk_l2norm_in_kernel
    )


def gated_delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    scale: float | None,
    initial_state: Tensor | None,
    output_final_state: bool,
    state_v_first: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    use_gate_in_kernel: bool = False,
    A_log: Tensor | None = None,
    dt_bias: Tensor | None = None,
    use_beta_sigmoid_in_kernel: bool = False,
    allow_neg_eigval: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return the gated delta rule and, if asked, its last state.

    g: (B, T, H), the log decay, or with `use_gate_in_kernel` what softplus and A_log turn into it. beta: (B, T, H), the
    step size, or with `use_beta_sigmoid_in_kernel` its logit; `allow_neg_eigval` doubles it.
    """
    dtype = q.dtype
    q, k = _prepare(q, k, v, beta, use_qk_l2norm_in_kernel)
    if use_beta_sigmoid_in_kernel:
        beta = promote(beta).sigmoid() * (2.0 if allow_neg_eigval else 1.0)
    if use_gate_in_kernel and g is not None and A_log is not None:
        shifted = promote(g) if dt_bias is None else promote(g) + promote(dt_bias)
        g = -promote(A_log).exp() * functional.softplus(shifted)
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    o, state = scalar.delta_rule(q, k, v, g, beta, scale, initial_state, state_v_first)
    return o.to(dtype), state if output_final_state else None


def fused_recurrent(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    beta: Tensor | None = None,
    A_log: Tensor | None = None,
    dt_bias: Tensor | None = None,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
    use_beta_sigmoid_in_kernel: bool = False,
    allow_neg_eigval: bool = False,
    state_v_first: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return the gated delta rule in the order of arguments of FLA's step by step kernel."""
    assert beta is not None
    return gated_delta_rule(
        q, k, v, g, beta, scale, initial_state, output_final_state, state_v_first, use_qk_l2norm_in_kernel,
        A_log is not None, A_log, dt_bias, use_beta_sigmoid_in_kernel, allow_neg_eigval,
    )  # fmt: skip


def gated_delta_product(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None,
    beta: Tensor,
    num_householder: int,
    scale: float | None = None,
    initial_state: Tensor | None = None,
    output_final_state: bool = False,
    use_qk_l2norm_in_kernel: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return `num_householder` delta rule steps a position, the decay on the first and the output after the last.

    q: (B, T, H, K). k: (B, T * n, H, K). v: (B, T * n, H, V). beta: (B, T * n, H). g: (B, T, H) or None
    (Siems et al. 2025, arXiv:2502.10297).
    """
    q, k = _prepare(q, k, v, beta, use_qk_l2norm_in_kernel)
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    o, state = scalar.delta_rule(q, k, v, g, beta, scale, initial_state, steps=num_householder)
    return o.to(q.dtype), state if output_final_state else None


def dplr(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    gk: Tensor,
    scale: float,
    initial_state: Tensor | None,
    output_final_state: bool,
    reverse: bool = False,
    lower_bound: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return the delta rule with a diagonal plus low rank transition and, if asked, its last state.

    lower_bound: the caller's promise that gk is above it, which only a faster kernel needs.
    """
    inputs = (q, k, v, a, b, gk)
    if reverse:
        inputs = tuple(x.flip(1) for x in inputs)  # type: ignore[assignment]
    o, state = diagonal_plus_low_rank(*inputs, scale, initial_state)
    return o.flip(1) if reverse else o, state if output_final_state else None
