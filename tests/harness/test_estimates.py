"""What a run costs, against the model itself and the published sizes."""

from pathlib import Path

import msgspec
import pytest

from harness import estimates
from harness.parameters import SIZES, count_parameters
from harness.profiles import load_profile, profile_names, resolve
from harness.run_config import RunConfig
from harness.script import define_script

TEMPLATE = Path(__file__).parents[2] / "templates" / "custom_pretrain.py"
SCRIPT = define_script(TEMPLATE.read_text(encoding="utf-8"), "custom_pretrain_estimated")


def config_of(name: str) -> RunConfig:
    profile = load_profile(name)
    return resolve(profile, seed=0, device=profile.devices[0])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", profile_names())
def test_parameters_are_those_of_the_model(name: str, bias: bool) -> None:
    """The formula counts what the untouched script builds, learned positions left out, with and without biases."""
    config = msgspec.structs.replace(config_of(name), bias=bias)
    sizes = {key: getattr(config, key) for key in SIZES}
    positions = config.block_size * config.n_embd
    assert estimates.parameters(config) == count_parameters(SCRIPT, sizes) - positions


def test_the_published_setting_costs_what_was_published() -> None:
    """gpt-345m has 354 M parameters and sees twenty tokens for each; 6 N D is most of its operations."""
    config = config_of("gpt-345m")
    found = estimates.cost(config)
    assert found.parameters == 50304 * 1024 + 24 * (12 * 1024**2 + 2 * 1024) + 1024
    assert found.tokens == 13535 * 16 * 32 * 1024 == 7_096_238_080
    assert found.flops == (6 * found.parameters + 12 * 24 * 1024 * 1024) * found.tokens
    assert 6 * found.parameters * found.tokens < found.flops < 1.2 * 6 * found.parameters * found.tokens
    assert found.memory_bytes > 16 * found.parameters


def test_hours_and_utilisation_are_one_formula() -> None:
    """A run at the assumed share of the peak takes the estimated hours; twice the GPUs take half."""
    config, gpus = config_of("gpt-345m"), ["NVIDIA H200", "NVIDIA H200"]
    hours = estimates.hours(config, gpus)
    assert hours is not None
    speed = estimates.cost(config).tokens / (hours * 3600)
    assert estimates.utilisation(config, speed, gpus) == pytest.approx(estimates.UTILISATION)
    assert estimates.hours(config, gpus[:1]) == pytest.approx(2 * hours)


@pytest.mark.parametrize("gpus", [[], ["Voodoo 2"], ["NVIDIA H200", "Voodoo 2"]])
def test_nothing_is_estimated_for_gpus_that_are_not_known(gpus: list[str]) -> None:
    """No GPU, or one without a known peak among them, has no hours and no utilisation."""
    config = config_of("smoke")
    assert estimates.hours(config, gpus) is None
    assert estimates.utilisation(config, 1e6, gpus) is None
