"""The two structs that a task shares with the editor: a region of the script and a key of the overrides."""

from typing import Literal

import msgspec


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines of the template that an agent may change."""

    name: str
    """What `--region` takes."""
    first: int
    """First line in the template, counted from 1."""
    last: int
    """Last line in the template, itself included."""
    kind: Literal["code", "overrides"] = "code"
    """`overrides`: one literal dictionary, CONFIG_OVERRIDES, and nothing else."""
    requires: tuple[str, ...] = ()
    """Definitions that every edit must keep: "CausalSelfAttention", or "TokenEmbedding.get_value_embed" (a method)."""
    about: str = ""
    """One line for the agent."""


class OverrideKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one key of CONFIG_OVERRIDES may be set to."""

    type: Literal["float", "int", "bool", "str"]
    """A float may be written as an integer; a bool is no integer."""
    minimum: float | None = None
    """Smallest allowed number, itself included; None means no bound."""
    maximum: float | None = None
    """Largest allowed number, itself included; None means no bound."""
    choices: tuple[float | int | bool | str, ...] | None = None
    """The only allowed values; None means any."""
    about: str = ""
    """One line for the agent, with the unit."""
