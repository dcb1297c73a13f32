"""How many parameters does the model have at the profile's own size, and how many does the task allow?

They are counted on the meta device, which needs no memory. A model's size is given without its learned positions, as
GPT-2's is; what the task limits is everything, for a script could call anything a position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from harness.preflight.found import CheckFailed, Found
from harness.script import define_script


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


def largest(baselines: Mapping[str, str], settings: Any) -> tuple[str, int] | None:
    """The baseline with the most parameters at the profile's size, and how many.

    One that does not build at these sizes is left out; None where none does.
    """
    sizes = {}
    for name, source in baselines.items():
        try:
            sizes[name] = size_of(define_script(source, name), settings).all
        except Exception:  # sizes that an operator set may not divide, which each refuses in its way
            continue
    return max(sizes.items(), key=lambda row: row[1], default=None)


def check_parameters(size: Size, ceiling: float | None, baseline: tuple[str, int] | None) -> Found:
    """The number and the limit. Raises CheckFailed above it."""
    if ceiling is None:
        return Found(f"{size.all:,} with learned positions", {"parameters": size.all})
    if baseline is None:
        warning = "no baseline of the task can be built at these sizes, so that parameters are not limited"
        return Found(f"{size.all:,} with learned positions", {"parameters": size.all}, (warning,))
    name, most = baseline
    limit, origin = int(ceiling * most), f"{ceiling:g} times the {most:,} of {name}"
    figures = {"parameters": size.all, "limit": limit}
    if size.all > limit:
        raise CheckFailed(
            f"{size.all:,} parameters with learned positions; this task allows {limit:,} at this profile, {origin}. "
            "Narrow a projection or lower a rank",
            figures,
        )
    return Found(f"{size.all:,} of at most {limit:,}, {origin}", figures)


def _count(model: Any) -> Size:
    total = sum(weight.numel() for weight in model.parameters() if not is_lazy(weight))
    return Size(total, total - int(model.embedding.get_num_pos_params()))
