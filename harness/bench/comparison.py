"""What a comparison of the two training loops is asked and what it answers. Torch-free."""

from statistics import median
from typing import Literal

import msgspec

from harness.run_config import RunConfig

PLAIN_MICRO_BATCH = 32
"""Windows in a micro-batch of the plain loop at most: those of the published setting."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `python -m harness.bench.throughput REQUEST` reads, as JSON."""

    template: str
    """Path of the script."""
    lines: tuple[int, int]
    """Where the mechanism stands in it: first and last line."""
    mechanisms: tuple[str, ...]
    """Paths of the files that take its place, one after the other."""
    config: RunConfig
    """Without data files, random tokens are read."""
    what: Literal["speed", "loss", "breakdown"] = "speed"
    steps: int | None = None
    """Optimizer steps: of a timed round, of a training whose loss is compared, or that are taken apart; None: as many
    as make sense."""


class Speed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One loop with one mechanism."""

    tokens_per_second: tuple[float, ...]
    """Of each round."""
    peak_memory_bytes: int | None
    """Of this loop alone; None on a CPU."""


class SpeedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both loops with one mechanism, measured in turn."""

    mechanism: str
    reference: Speed
    template: Speed

    @property
    def ratio(self) -> float:
        """Median over the rounds of how many times as fast the template's loop was as the reference in that round."""
        rates = zip(self.template.tokens_per_second, self.reference.tokens_per_second, strict=True)
        return median(ours / theirs for ours, theirs in rates)


class LossRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Losses on held-out text of both loops with one mechanism, from the same first weights over the same batches."""

    mechanism: str
    steps: tuple[int, ...]
    reference: tuple[float, ...]
    template: tuple[float, ...]
    halves: tuple[float, ...] | None = None
    """Of the reference with the same batches in twice as many micro-batches, which only rounds otherwise: how far two
    trainings part by themselves. None where a micro-batch has no half."""


class BreakdownRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds of GPU time that 32,768 tokens take with one mechanism, by kind of kernel and by kernel."""

    mechanism: str
    reference: dict[str, float]
    template: dict[str, float]
    reference_kernels: dict[str, float]
    """The longest ones by name."""
    template_kernels: dict[str, float]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it prints, as one line of JSON; what was not asked for is empty."""

    speed: tuple[SpeedRow, ...] = ()
    loss: tuple[LossRow, ...] = ()
    breakdown: tuple[BreakdownRow, ...] = ()
