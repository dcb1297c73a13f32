"""Mamba 2's layer through the chunked scalar decay form; FLA's own fallback holds every pair of positions and states.

State space duality: y is attention with q = C, k = B, v = dt x and log decay dt A, plus D x
(Dao & Gu 2024, arXiv:2405.21060).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from harness.fla_cpu.errors import UnsupportedOption
from harness.fla_cpu.precision import full_precision, promote
from harness.fla_cpu.scalar_decay import scalar_decay_attention


def torch_forward(
    self: Any, input_states: Tensor, last_state: dict[str, Any] | None = None, use_cache: bool = False,
    attention_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """Return the output (B, T, D) of FLA's Mamba2 layer `self`, its convolution state if asked and its last state.

    Raises UnsupportedOption for a cached step and for a padding mask.
    """
    for option, value in (("past_key_values", last_state), ("attention_mask", attention_mask)):
        if value is not None:
            raise UnsupportedOption(f"fla.layers.Mamba2: the option {option} is not supported on a CPU. Leave it out.")
    length = input_states.shape[1]
    parts = (self.intermediate_size, self.conv_dim, self.num_heads)
    gate, mixed_BTC, dt_BTH = self.in_proj(input_states).split(parts, -1)
    convolved_BCT = self.conv1d(mixed_BTC.transpose(1, 2))[..., :length]
    groups_width = self.n_groups * self.ssm_state_size
    x, b, c = self.act(convolved_BCT.transpose(1, 2)).split((self.intermediate_size, groups_width, groups_width), -1)
    y, state = scan(self, x, b, c, dt_BTH)
    scanned = self.norm(y, gate) if self.rmsnorm else y * self.act(gate)
    out = self.out_proj(scanned.to(input_states.dtype))
    kept = mixed_BTC.transpose(1, 2)
    conv_state = functional.pad(kept, (self.conv_kernel_size - length, 0)) if use_cache else None
    return out, conv_state, state


@full_precision
def scan(self: Any, x: Tensor, b: Tensor, c: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
    """Return y (B, T, I) and the last state (B, H, P, N). x: (B, T, I = H * P). b, c: (B, T, G * N). dt: (B, T, H)."""
    step_BTH = functional.softplus(promote(dt) + self.dt_bias).clamp(*self.dt_limit)
    log_decay_BTH = -promote(self.A_log).exp() * step_BTH
    x_BTHP = promote(x).unflatten(-1, (-1, self.head_dim))
    # FLA hands group h mod G to head h.
    repeats = (1, 1, self.num_heads // self.n_groups, 1)
    b_BTHN, c_BTHN = (promote(y).unflatten(-1, (self.n_groups, -1)).repeat(repeats) for y in (b, c))
    y_BTHP, state = scalar_decay_attention(
        c_BTHN, b_BTHN, x_BTHP * step_BTH.unsqueeze(-1), log_decay_BTH, 1.0, state_v_first=True
    )
    return (y_BTHP + self._get_D(expand_to_head_dim=True) * x_BTHP).flatten(2), state
