"""Profiles: how large a model is, what it reads, how long it trains and how it is scored. One YAML file each.

Torch-free, so that the CLI can read them quickly.
"""

import difflib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from harness.run_config import PATHS, RunConfig

FOLDER = Path(__file__).parent


class ProfileError(ValueError):
    """A profile, or a value set in one, that does not exist or does not fit; the message says what would."""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One size of experiment."""

    name: str
    about: str
    data: str
    """Name of the data set."""
    devices: tuple[str, ...] = ("cuda",)
    """Where it may run: cpu, cuda."""
    gpus: int = 1
    """GPUs that its published setting used."""
    model: dict[str, Any]
    """Model sizes of the run config."""
    training: dict[str, Any]
    """Training settings of the run config; lr_decay_iters is max_iters where it is left out."""
    metrics: tuple[str, ...] = ("val_loss",)
    """What the scoring process measures."""
    noise: dict[str, float] = {}
    """By metric: the standard deviation from seed to seed of the untouched template at this profile's own settings.
    What is not there is unknown."""
    windows: int | None = None
    """Validation windows that are scored; None means all."""
    hours_limit: float | None = None
    """Wall time after which a training is ended; None means off."""
    stall_minutes: float | None = 30.0
    """Silence after which a training is ended; None means off. A cold cache of Triton kernels keeps a first step silent
    for minutes."""
    keep_checkpoints: int = 2
    """The newest ones that are kept while a run lasts; a finished run keeps its last."""
    halve_micro_batch: bool = True
    """Whether a run out of memory is tried again with half the micro-batch and twice the accumulation."""


def profile_names() -> list[str]:
    """The profiles that ship, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """Decode one profile. Raises ProfileError for an unknown name."""
    path = FOLDER / f"{name}.yaml"
    if name not in profile_names():
        raise ProfileError(f"There is no profile {name!r}. {_alternatives(name, profile_names())}")
    return msgspec.yaml.decode(path.read_bytes(), type=Profile)


def resolve(
    profile: Profile,
    *,
    seed: int,
    device: str,
    adjust: dict[str, Any] | None = None,
    overridden: dict[str, str] | None = None,
) -> RunConfig:
    """The run config of a profile on a device, without paths.

    `adjust` holds a task's values, `overridden` what the operator set by hand, as text. Raises ProfileError.
    """
    if device not in profile.devices:
        raise ProfileError(
            f"The profile {profile.name!r} runs on {', '.join(profile.devices)}, and this machine offers {device}."
        )
    values = {**profile.model, **profile.training, **(adjust or {}), "seed": seed, "device": device}
    values["dtype"] = "bfloat16" if device == "cuda" else "float32"
    for key, text in (overridden or {}).items():
        values[key] = _parse(key, text)
    values.setdefault("lr_decay_iters", values.get("max_iters"))
    try:
        return msgspec.convert(values, RunConfig)
    except msgspec.ValidationError as error:
        raise ProfileError(f"The profile {profile.name!r} does not make a run config: {error}") from error


def _parse(key: str, text: str) -> Any:
    """The value that the operator typed for a key of the run config."""
    fields = {field.name: field.type for field in msgspec.structs.fields(RunConfig) if field.name not in PATHS}
    if key not in fields:
        raise ProfileError(f"There is no setting {key!r}. {_alternatives(key, sorted(fields))}")
    try:
        return msgspec.convert(text, fields[key], strict=False)
    except msgspec.ValidationError as error:
        choices = get_args(fields[key]) if get_origin(fields[key]) is Literal else ()
        hint = f" {_alternatives(text, list(choices))}" if choices else ""
        raise ProfileError(f"{key}={text!r} does not fit: {error}.{hint}") from error


def _alternatives(value: str, options: list[str]) -> str:
    close = difflib.get_close_matches(value, options, n=1, cutoff=0.5)
    return (f"Did you mean {close[0]!r}? " if close else "") + f"There are: {', '.join(options)}."
