"""A backend that runs flash-linear-attention's own layers on CPU tensors, exactly, forward and backward, in pure torch.

`install()` arranges it for this process. Tensors on any other device keep FLA's Triton kernels.
"""

from __future__ import annotations

from harness.fla_cpu.errors import UncoveredOp, UnsupportedOption
from harness.fla_cpu.hook import install

__all__ = ["UncoveredOp", "UnsupportedOption", "install"]
