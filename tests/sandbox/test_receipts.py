"""What of harness and environment a result carries, and how a difference from it is told."""

import json

from harness.environment import SCORING_VERSION
from sandbox.receipts import environment_difference, harness_difference, receipt


def test_a_receipt_taken_here_shows_no_difference_here() -> None:
    """It survives the ledger's JSON, and isolation is in it where it is known."""
    found = json.loads(json.dumps(receipt("cpu", "bubblewrap")))
    assert (harness_difference(found), environment_difference(found, "cpu")) == (None, None)
    assert found["isolation"] == "bubblewrap"


def test_a_difference_names_both_sides() -> None:
    """Another harness is named with whether its scores compare, another environment field by field."""
    found = receipt("cpu", "none")
    other = {**found, "harness_sha256": "a" * 64}
    assert f"sha256 {'a' * 64}, here {found['harness_sha256']}; its scores compare" in str(harness_difference(other))
    older = {**other, "scoring_version": 0}
    assert str(harness_difference(older)).endswith(f"scoring version 0, here {SCORING_VERSION}")
    elsewhere = {**found["environment"], "torch": "1.13.1", "driver": "535.1"}
    said = environment_difference({"environment": elsewhere, "environment_sha256": "b" * 64}, "cpu")
    assert said == f"torch 1.13.1, here {found['environment']['torch']}; driver 535.1, here None"
