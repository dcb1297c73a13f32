"""What a result was made by: hashes that `linbench verify` takes again, and how the agent's code was isolated."""

from collections.abc import Mapping
from typing import Any

import msgspec

from harness.environment import SCORING_VERSION, Environment, environment, harness_sha256


def receipt(device: str, isolation: str) -> dict[str, Any]:
    """The facts about this harness and this environment that a test's result carries."""
    here = environment(device)
    return {
        "harness_sha256": harness_sha256(),
        "scoring_version": SCORING_VERSION,
        "environment": msgspec.to_builtins(here),
        "environment_sha256": here.sha256,
        "isolation": isolation,
    }


def harness_difference(facts: Mapping[str, Any]) -> str | None:
    """How this harness differs from the one that made a result; None where it does not."""
    here, there = harness_sha256(), facts["harness_sha256"]
    if here == there:
        return None
    versions = facts["scoring_version"], SCORING_VERSION
    scores = (
        "its scores compare" if versions[0] == versions[1] else f"scoring version {versions[0]}, here {versions[1]}"
    )
    return f"scored by another harness, sha256 {there}, here {here}; {scores}"


def environment_difference(facts: Mapping[str, Any], device: str) -> str | None:
    """What differs here from the environment that made a result, "torch 2.11.0, here 2.13.0"; None if nothing."""
    here = environment(device)
    if here.sha256 == facts["environment_sha256"]:
        return None
    there = msgspec.convert(facts["environment"], Environment)
    pairs = {name: (getattr(there, name), getattr(here, name)) for name in Environment.__struct_fields__}
    return "; ".join(f"{name} {old}, here {new}" for name, (old, new) in pairs.items() if old != new)
