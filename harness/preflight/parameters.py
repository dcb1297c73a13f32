"""How many parameters does the model have at the profile's own size, and how many does the task allow?

They are counted on the meta device, which needs no memory. A model's size is given without its learned positions, as
GPT-2's is; what the task limits is everything, for a script could call anything a position, and buffers as well
(harness.capacity).
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from harness.capacity import numbers, stored, strange
from harness.preflight.found import CheckFailed, Found
from harness.preflight.report import Baseline, Rules
from harness.script import define_script


@dataclass(frozen=True, slots=True)
class Size:
    """What a model holds."""

    all: int
    """Numbers in parameters and buffers, as the task limits them."""
    without_positions: int
    """Parameters without the learned positions."""
    buffers: int = 0
    """Numbers of `all` that are in buffers."""
    stored: int = 0
    """Entries of its state dict, which its checkpoint will have too."""


def size_of(script: ModuleType, settings: Any) -> Size:
    """At the profile's own size; on the meta device where the code allows it."""
    try:
        with torch.device("meta"):
            return _count(script.build_model(settings))
    except Exception:  # it may compute with values, which meta tensors have none of; any other mistake comes again
        return looked_at(script, settings)


def looked_at(script: ModuleType, settings: Any) -> Size:
    """The same of a real model, whose buffers' values say how much they hold."""
    return _count(script.build_model(settings))


def largest(baselines: Mapping[str, str], settings: Any) -> Baseline | None:
    """The baseline with the most parameters at the profile's size.

    One that does not build at these sizes is left out, which stderr says; None where none does.
    """
    sizes = {}
    for name, source in baselines.items():
        try:
            sizes[name] = size_of(define_script(source, name), settings).all
        except Exception as error:  # sizes that an operator set may not divide, which each refuses in its way
            print(f"linbench: {name} does not limit parameters, for it does not build: {error}", file=sys.stderr)
    return max((Baseline(*row) for row in sizes.items()), key=lambda found: found.parameters, default=None)


def check_parameters(size: Size, rules: Rules, baseline: Baseline | None) -> Found:
    """The number and the limit. Raises CheckFailed above it."""
    said = f"{size.all:,} with learned positions{_buffers(size)}"
    figures = {"parameters": size.all, "buffers": size.buffers, "stored": size.stored}
    limit = rules.limit(baseline)
    if baseline is None or limit is None:
        warning = "no baseline of the task can be built at these sizes, so that parameters are not limited"
        return Found(said, figures, () if rules.parameters is None else (warning,))
    figures |= {"limit": limit}
    origin = f"{rules.parameters:g} times the {baseline.parameters:,} of {baseline.name}"
    if size.all > limit:
        advice = "Narrow a projection or lower a rank"
        if size.buffers:
            advice += "; register what code can compute again, such as a mask or a table, with persistent=False"
        raise CheckFailed(
            f"{size.all:,} parameters with learned positions{_buffers(size)}; this task allows {limit:,} at this "
            f"profile, {origin}. {advice}",
            figures,
        )
    return Found(f"{size.all:,} of at most {limit:,}, {origin}", figures)


def _buffers(size: Size) -> str:
    return f" and {size.buffers:,} in buffers among them" if size.buffers else ""


def _count(model: Any) -> Size:
    weights = [weight for weight in model.parameters() if not is_lazy(weight)]
    state = {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if not is_lazy(tensor)}
    if odd := strange(state):
        raise CheckFailed(f"the state dict holds {', '.join(odd[:5])}, which a checkpoint of dense tensors cannot keep")
    parameters = sum(weight.numel() for weight in weights)
    everything = numbers([*weights, *state.values()])
    positions = int(model.embedding.get_num_pos_params())
    return Size(everything, parameters - positions, everything - numbers(weights), stored(state))
