"""A training on a GPU with fewer bytes moved: the script's frozen parts, and library functions that a mechanism calls.

functions: what the script's class Fused computes. model: the whole forward pass, where nobody edited it. shared_input:
the gradient of what several linear maps read. convolution: those of flash-linear-attention. kernels: what they run on.
The agent's own code runs as it is written.
"""

from typing import Any

from harness.fused import convolution, functions, model, shared_input


def install(script: type, network: Any, block: Any, norm: type) -> None:
    """Let a script's class Fused, its network and its mechanisms run on kernels.

    `block` and `norm` are the script's classes of that name; what an edit put in their place is called as it is.
    """
    script.gelu, script.layer_norm, script.head = functions.gelu, functions.layer_norm, functions.head  # type: ignore[attr-defined]
    model.fuse(network, block, norm)
    shared_input.share(model.mechanisms(network))
    convolution.install()
