"""What a preflight is asked and what it answers. Torch-free: the parent reads it."""

import msgspec


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to check."""

    source: str
    """The script's snapshot."""
    run: str
    """A run config file, without data."""
    report: str
    """Where the answer goes."""
    causal: bool = True
    """Whether no logit may depend on a later token."""


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that was found to be so."""

    name: str
    detail: str


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The checks that passed, in order, and what stopped the rest."""

    checks: tuple[Check, ...] = ()
    parameters: int | None = None
    """At the profile's full size, learned positions left out; None where the script could not be built."""
    failed: str | None = None
    """Name of the check that failed; None when all passed."""
    error: str | None = None
    """What it found, in a sentence or as Python says it."""
    traceback: str = ""
    """The agent's own lines of the traceback."""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    """Wall time of the whole preflight, taken in the parent."""
