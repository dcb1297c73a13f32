"""Triton kernels that touch every number as seldom as they can.

All compute in fp32, whatever they read. A row is one position's channels (norm) or one position's logits (loss).
"""

from harness.fused.kernels import convolution, gelu, loss, norm, sums

__all__ = ["convolution", "gelu", "loss", "norm", "sums"]
