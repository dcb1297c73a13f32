"""Under which conditions a test runs, and what is said when it cannot."""

from pathlib import Path

import pytest

from harness.run_config import without_paths
from sandbox.conditions import (
    check_profile,
    conditions,
    conditions_of,
    default_profile,
    open_data,
    parse_settings,
)
from sandbox.errors import MachineFault, UsageError
from sandbox.state import TestState
from sandbox.tasks import load_task

TASK = load_task("llm-pretrain-linear-attention").task


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine looks like one without a GPU."""
    monkeypatch.setattr("sandbox.conditions.default_device", lambda: "cpu")


def test_a_task_has_a_profile_for_a_machine_without_a_gpu() -> None:
    """On a CPU it is the smoke profile, and its conditions resolve with the seed given."""
    assert default_profile(TASK) == "smoke"
    settled = conditions(TASK, "smoke", 7, {})
    assert (settled.config.seed, settled.config.device, settled.config.dtype) == (7, "cpu", "float32")


def test_equal_conditions_have_equal_hashes_and_others_have_others() -> None:
    """The hash covers seed and settings."""
    settled = conditions(TASK, "smoke", 7, {})
    assert settled.config_sha256 == conditions(TASK, "smoke", 7, {}).config_sha256
    assert settled.config_sha256 != conditions(TASK, "smoke", 8, {}).config_sha256
    assert settled.config_sha256 != conditions(TASK, "smoke", 7, {"max_iters": "9"}).config_sha256


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    """An unknown profile, one that needs a GPU, and an unknown setting each name the alternative."""
    with pytest.raises(UsageError, match="Did you mean 'smoke'"):
        check_profile(TASK, "smke")
    with pytest.raises(UsageError, match="needs a GPU") as needs_gpu:
        conditions(TASK, "gpt-345m", 7, {})
    assert needs_gpu.value.run == "linbench test --profile smoke"
    with pytest.raises(UsageError, match="Did you mean 'max_iters'"):
        conditions(TASK, "smoke", 7, {"max_iter": "9"})


def test_settings_are_pairs() -> None:
    """KEY=VALUE, where the value may hold further equals signs; anything else is refused."""
    assert parse_settings(["a=1", "b=c=d"]) == {"a": "1", "b": "c=d"}
    for wrong in ("a", "=1", "a=", ""):
        with pytest.raises(UsageError, match="KEY=VALUE"):
            parse_settings([wrong])


def test_a_test_goes_on_under_the_conditions_that_it_began_with() -> None:
    """They are rebuilt from the ledger; a profile or key that this version does not know is the machine's fault."""
    settled = conditions(TASK, "smoke", 7, {"max_iters": "9"}, isolation="none")

    def begun(profile: str, config: dict[str, object]) -> TestState:
        return TestState(1, "reserved", 0, "", "", profile, 7, config, settled.config_sha256, "")

    assert conditions_of(begun("smoke", without_paths(settled.config))) == settled
    for profile, config in (("gone", without_paths(settled.config)), ("smoke", {"new_key": 1})):
        with pytest.raises(MachineFault, match="another version of linbench"):
            conditions_of(begun(profile, config))


def test_data_that_was_not_prepared_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command that prepares it."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path))
    with pytest.raises(MachineFault) as fault:
        open_data(conditions(TASK, "prose-60m", 7, {}))
    assert fault.value.run is not None
    assert fault.value.run.startswith("linbench data prepare")


def test_data_with_more_tokens_than_the_model_has_rows_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token without a row would end a training in the middle, on a GPU without a word; it is said before."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path))
    assert open_data(conditions(TASK, "smoke", 7, {})).vocab_size == 256
    with pytest.raises(MachineFault, match="256 different tokens") as fault:
        open_data(conditions(TASK, "smoke", 7, {"vocab_size": "255"}))
    assert fault.value.run == "linbench test --profile smoke --set vocab_size=256"
