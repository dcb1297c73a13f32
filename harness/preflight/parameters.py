"""How many parameters does the model have at the profile's own size, and how many does the task allow?

They are counted on the meta device, which needs no memory. A model's size is given without its learned positions, as
GPT-2's is; what the task limits is everything, for a script could call anything a position.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from harness.preflight.found import CheckFailed, Found
from harness.preflight.report import Rules


@dataclass(frozen=True, slots=True)
class Size:
    """A model's parameters."""

    all: int
    without_positions: int


def size_of(script: ModuleType, settings: Any) -> Size:
    """At the profile's own size; on the meta device where the code allows it."""
    try:
        with torch.device("meta"):
            return _count(script.build_model(settings))
    except Exception:  # it may compute with values, which meta tensors have none of; any other mistake comes again
        return _count(script.build_model(settings))


def check_parameters(size: Size, rules: Rules) -> Found:
    """The number and the limit. Raises CheckFailed above it."""
    figures = {"parameters": size.all, "limit": rules.parameters}
    if rules.parameters is None:
        return Found(f"{size.all:,} with learned positions", figures)
    if size.all > rules.parameters:
        raise CheckFailed(
            f"{size.all:,} parameters with learned positions; this task allows {rules.parameters:,} at this profile, "
            f"{rules.parameters_from}. Narrow a projection or lower a rank",
            figures,
        )
    return Found(f"{size.all:,} of at most {rules.parameters:,}, {rules.parameters_from}", figures)


def _count(model: Any) -> Size:
    total = sum(weight.numel() for weight in model.parameters() if not is_lazy(weight))
    return Size(total, total - int(model.embedding.get_num_pos_params()))
