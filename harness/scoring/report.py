"""What a scoring is asked and what it answers. Torch-free: the parent reads it."""

from typing import Literal, TypeVar

import msgspec

from harness.faults import Reason
from harness.isolation import Confinement
from harness.run_config import RunConfig


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The model that is asked, and how long to wait for it."""

    source: str
    run: str
    checkpoint: str
    config: RunConfig
    """What `run` says, as the parent knows it: the file lies where the agent's code could write."""
    confinement: Confinement
    """The sandbox of its processes; each gets a new folder below the temporary one for its own."""
    kernels: str
    """The folder of compiled kernels, of which each process gets a copy: what it writes there, no other one reads."""
    answer_seconds: float
    """Wall time that its start or one answer may take."""
    seconds: float
    """Wall time after which nothing is asked any more."""


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a checkpoint may hold, as the check before the test had it."""

    numbers: int | None = None
    """In parameters and buffers (harness.capacity), at most; None means off."""
    stored: int | None = None
    """Entries of the state dict, which have to be as many; None where no check has counted them."""


ANYTHING = Allowed()


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to score."""

    model: Model
    report: str
    """Where the answer goes."""
    data: str
    """Name of the data set whose validation split is scored."""
    metrics: tuple[str, ...]
    """By the short name; harness.scoring.metrics lists them."""
    windows: int | None
    """Validation windows that are scored; None means all."""
    allowed: Allowed = ANYTHING


Invalid = Literal[
    "logits_not_finite",
    "logits_misshapen",
    "non_deterministic",
    "not_causal",
    "below_floor",
    "source_changed",
    "foreign_result",
    "too_many_parameters",
    "parameters_differ",
    "checkpoint_changed",
]
"""Why the figures of a model that was trained and scored prove nothing."""


class Audit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much logits changed that were asked for a second time, of another process."""

    seed: int
    """Of all that was drawn at random."""
    repeated: int
    """Windows that were asked again as they were."""
    probed: int
    """Windows, or beginnings of windows, that were asked again with later tokens replaced."""
    change_repeated: float
    """The largest change of a logit, as a share of the largest logit."""
    change_probed: float
    """The same before the replaced tokens."""
    gain_repeated: float
    """Nats a token by which the first answer was better."""
    gain_probed: float
    """The same for the token right before the replaced ones."""


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was measured."""

    metrics: dict[str, float] = {}
    """By the short name, such as val_loss; those that were asked for and did not fail."""
    errors: dict[str, str] = {}
    """Why a metric, by its name, could not be measured; the others are not lost with it."""
    tokens: int = 0
    """Validation tokens that were predicted."""
    tokens_sha256: str = ""
    """Of those tokens, in order."""
    step: int = 0
    """The checkpoint's optimizer step."""
    numbers: int | None = None
    """In the checkpoint's parameters and buffers; None where it could not be read."""
    audit: Audit | None = None
    """What stands behind the validation loss."""
    passage_audit: Audit | None = None
    """What stands behind the other metrics."""
    error: str | None = None
    """Why the model itself could not be loaded or its validation loss not be computed; None when they could."""
    reason: Reason = "error"
    """The kind of `error`, where the model could not be scored."""
    invalid: Invalid | None = None
    """The kind of `error`, where the model could be scored and its figures prove nothing."""
    traceback: str = ""
    seconds: float = 0.0
    """Wall time, taken in the parent."""


class SampleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What text to draw from a checkpoint."""

    model: Model
    report: str
    """Where the answer goes."""
    data: str
    """Name of the data set whose tokenizer is used."""
    prompt: str
    """What the text begins with; "" begins a document."""
    samples: int
    tokens: int
    """New tokens a sample, at most."""
    temperature: float
    """Of the softmax; 0 takes the likeliest token."""
    seed: int


class SampleReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was drawn."""

    texts: tuple[str, ...] = ()
    """Without the prompt."""
    step: int = 0
    """The checkpoint's optimizer step."""
    error: str | None = None
    """Why there is no text; None when there is."""
    traceback: str = ""
    seconds: float = 0.0
    """Wall time, taken in the parent."""


AnyRequest = TypeVar("AnyRequest", Request, SampleRequest)


def encode(request: msgspec.Struct) -> bytes:
    """A request as JSON."""
    return msgspec.json.encode(request, enc_hook=str)


def decode(content: bytes, kind: type[AnyRequest]) -> AnyRequest:
    """A request of a kind from JSON. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(content, type=kind, dec_hook=lambda kind, value: kind(value))
