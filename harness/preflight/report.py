"""What a preflight is asked and what it answers. Torch-free: the parent reads it."""

from typing import Any

import msgspec

MOST_REPORT_BYTES = 2**20
"""Of a report, which the agent's code could have made longer."""


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The largest baseline of the task at the profile's size."""

    name: str
    parameters: int
    """As the task limits them."""


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a task asks of a model, beyond running."""

    causal: bool = True
    """No logit may depend on a later token."""
    exponent: float | None = None
    """The largest power of the sequence length that time, operations and memory may grow with; None means off."""
    reference: bool = False
    """Whether the script is the task's own: its cost is then measured and not refused, for it ranks nowhere."""
    parameters: float | None = None
    """The most parameters, learned positions included, as a multiple of the largest baseline's; None means off."""
    baselines: dict[str, str] = {}
    """The script with each baseline in its place, by the baseline's name."""

    def limit(self, baseline: Baseline | None) -> int | None:
        """The numbers that a model may hold; None without a ceiling, or where no baseline builds at these sizes."""
        return None if self.parameters is None or baseline is None else int(self.parameters * baseline.parameters)


ANY = Rules()
"""What every task asks."""


class Room(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a run may use."""

    workers: int = 1
    """Processes that share a run, one a GPU."""
    published_workers: int = 1
    """As many as the profile's published setting used."""
    hours: float | None = None
    """After which a training is ended; None means off."""
    halve_micro_batch: bool = False
    """Whether a run out of memory is tried again with half the micro-batch."""

    @property
    def shared(self) -> bool:
        """Whether the run, or the one that the profile was published with, has several processes."""
        return max(self.workers, self.published_workers) > 1


ONE_PROCESS = Room()
"""A run in one process, without a limit."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to check."""

    source: str
    """The script's snapshot."""
    run: str
    """A run config file, without data."""
    rules: Rules = ANY
    room: Room = ONE_PROCESS


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that was found to be so."""

    name: str
    detail: str
    """In words, with the number that it was decided by."""
    figures: dict[str, Any] = {}
    """The numbers behind it."""


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The checks that passed, in order, and what stopped the rest."""

    checks: tuple[Check, ...] = ()
    parameters: int | None = None
    """At the profile's full size, learned positions left out; None where the script could not be built."""
    stored: int | None = None
    """Entries of the model's state dict, which its checkpoint has to have too."""
    baseline: Baseline | None = None
    """Counted before the agent's code ran; None where the task sets no ceiling, or none builds at these sizes."""
    failed: str | None = None
    """Name of the check that failed; None when all passed."""
    error: str | None = None
    """What it found, in a sentence or as Python says it."""
    figures: dict[str, Any] = {}
    """The numbers that the failed check had found by then."""
    traceback: str = ""
    """The agent's own lines of the traceback."""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    """Wall time of the whole preflight, taken in the parent."""


UNCHECKED = Report()
"""Of a script that nobody has looked at."""
