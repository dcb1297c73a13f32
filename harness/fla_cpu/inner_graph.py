"""Run a torch function inside a `torch.autograd.Function`: forward records its graph, backward differentiates it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.fla_cpu.errors import UnsupportedOption


def run_forward(ctx: Any, function: Callable[..., Any], arguments: dict[str, Any], positions: dict[str, int]) -> Any:
    """Call `function(**arguments)`, keep its graph in `ctx.cpu_graph` and return its outputs cut off from that graph.

    positions: the place of every argument in the call of `apply`, to match gradients with inputs.
    """
    leaves: dict[int, Tensor] = {}
    if not torch.is_inference_mode_enabled():
        for option, value in arguments.items():
            if isinstance(value, Tensor) and ctx.needs_input_grad[positions[option]]:
                arguments[option] = leaves[positions[option]] = value.detach().requires_grad_()
    with torch.set_grad_enabled(bool(leaves)):
        result = function(**arguments)
    outputs = result if isinstance(result, tuple) else (result,)
    ctx.cpu_graph = leaves, outputs, len(ctx.needs_input_grad)
    ctx.set_materialize_grads(False)
    detached = tuple(x.detach() if isinstance(x, Tensor) else x for x in outputs)
    constant = [y for x, y in zip(outputs, detached, strict=True) if isinstance(x, Tensor) and not x.requires_grad]
    ctx.mark_non_differentiable(*constant)
    return detached if isinstance(result, tuple) else detached[0]


def run_backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    """Return the gradients of the inputs of `run_forward`, None for those that need none.

    Raises UnsupportedOption for `create_graph=True`, whose second derivatives would silently lack this function's.
    """
    if torch.is_grad_enabled():
        raise UnsupportedOption("create_graph=True: FLA's functions have no second derivative, on a CPU or on a GPU.")
    leaves, outputs, count = ctx.cpu_graph
    pairs = [
        (output, gradient)
        for output, gradient in zip(outputs, gradients, strict=True)
        if gradient is not None and output.requires_grad
    ]
    if not pairs or not leaves:
        return (None,) * count
    roots, gradients_of_roots = zip(*pairs, strict=True)
    keep = torch._C._autograd._get_current_graph_task_keep_graph()
    found = torch.autograd.grad(roots, list(leaves.values()), gradients_of_roots, retain_graph=keep, allow_unused=True)
    by_position = dict(zip(leaves, found, strict=True))
    if not keep:
        del ctx.cpu_graph
    return tuple(by_position.get(i) for i in range(count))
