"""Put a CPU function beneath one of FLA's autograd functions or plain functions, for CPU tensors only.

A `torch.autograd.Function` keeps its class and every alias of its `apply`: only `forward` and `backward` change.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Iterable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from harness.fla_cpu.coverage import SPEED_OPTIONS
from harness.fla_cpu.errors import UnsupportedOption
from harness.fla_cpu.inner_graph import run_backward, run_forward

Function = Callable[..., Any]


def cover(module: ModuleType, target: str, function: str) -> None:
    """Put the CPU `function`, as "module:name" in this package, beneath `target`, a name in FLA's `module`.

    Raises ImportError when this FLA has no such name: the backend is written against the FLA that constraints.txt pins.
    """
    owner: Any = module
    *outer, name = target.split(".")
    try:
        for part in outer:
            owner = getattr(owner, part)
        original = getattr(owner, name)
    except AttributeError:
        raise ImportError(
            f"{module.__name__} has no {target}: harness.fla_cpu is written for flash-linear-attention 0.6; "
            "install the version that constraints.txt names."
        ) from None
    home, cpu_name = function.split(":")
    cpu_function = getattr(importlib.import_module(f"harness.fla_cpu.{home}"), cpu_name)
    if isinstance(original, type) and issubclass(original, torch.autograd.Function):
        swap_autograd_function(original, cpu_function)
    else:
        rebind(owner, name, original, cpu_function)


def on_cpu(values: Iterable[Any]) -> bool:
    """Say whether there are tensors among `values` and all of them are on the CPU."""
    devices = {value.device.type for value in values if isinstance(value, Tensor)}
    return devices == {"cpu"}


def known_arguments(name: str, declared: Collection[str], given: dict[str, Any]) -> dict[str, Any]:
    """Keep the arguments that a CPU function declared; an undeclared one must be off or a matter of speed.

    Raises UnsupportedOption naming the argument otherwise.
    """
    for option, value in given.items():
        off = value is None or value is False
        if option not in declared and option not in SPEED_OPTIONS and not off:
            shown = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise UnsupportedOption(
                f"{name}: the option {option} ({shown}) is not supported on a CPU, only "
                f"{', '.join(declared)}. Leave it out, or run on a GPU."
            )
    return {option: value for option, value in given.items() if option in declared}


def flatten_keywords(signature: inspect.Signature, given: dict[str, Any]) -> dict[str, Any]:
    """Return the bound arguments with those that a `**kwargs` collected among the others."""
    flat: dict[str, Any] = {}
    for option, value in given.items():
        collected = signature.parameters[option].kind is inspect.Parameter.VAR_KEYWORD
        flat.update(value if collected else {option: value})
    return flat


def rebind(owner: Any, name: str, original: Function, cpu_function: Function) -> None:
    """Replace a plain function or method by one that dispatches on the device, also where it is imported already."""
    signature, declared = inspect.signature(original), tuple(inspect.signature(cpu_function).parameters)
    title = f"{original.__module__}.{original.__qualname__}"

    @functools.wraps(original)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if not on_cpu(bound.arguments.values()):
            return original(*args, **kwargs)
        return cpu_function(**known_arguments(title, declared, flatten_keywords(signature, bound.arguments)))

    replacement = torch.compiler.disable(dispatch)
    setattr(owner, name, replacement)
    for module in list(sys.modules.values()):
        namespace = getattr(module, "__dict__", {})
        for alias in [key for key, value in namespace.items() if value is original]:
            namespace[alias] = replacement


def swap_autograd_function(cls: type[torch.autograd.Function], cpu_function: Function) -> None:
    """Change `cls.forward` and `cls.backward` so that CPU tensors go through `cpu_function` and its own graph."""
    gpu_forward, gpu_backward = cls.forward, cls.backward
    signature, declared = inspect.signature(gpu_forward), tuple(inspect.signature(cpu_function).parameters)
    context = next(iter(signature.parameters))
    title = f"{cls.__module__}.{cls.__qualname__}"

    def forward(ctx: Any, *args: Any) -> Any:
        if not on_cpu(args):
            return gpu_forward(ctx, *args)
        bound = signature.bind(ctx, *args)
        bound.apply_defaults()
        given = {option: value for option, value in bound.arguments.items() if option != context}
        known = known_arguments(title, declared, given)
        return run_forward(ctx, cpu_function, known, {option: i for i, option in enumerate(given)})

    def backward(ctx: Any, *grads: Any) -> Any:
        return run_backward(ctx, *grads) if hasattr(ctx, "cpu_graph") else gpu_backward(ctx, *grads)

    # Dynamo cannot trace an autograd graph that is built inside a forward.
    cls.forward = staticmethod(torch.compiler.disable(forward))  # type: ignore[method-assign]
    cls.backward = staticmethod(torch.compiler.disable(backward))  # type: ignore[method-assign]
