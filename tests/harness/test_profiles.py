"""Profiles and the run configs that they make."""

import msgspec
import pytest

from harness.profiles import ProfileError, load_profile, profile_names, resolve


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_makes_a_run_config_on_its_devices(name: str) -> None:
    """A profile that ships is called as its file is and resolves on each device, in bf16 on a GPU."""
    profile = load_profile(name)
    assert profile.name == name
    for device in profile.devices:
        config = resolve(profile, seed=42, device=device)
        assert (config.seed, config.device) == (42, device)
        assert config.dtype == {"cpu": "float32", "cuda": "bfloat16"}[device]
        assert config.n_embd % config.n_head == 0
        assert config.warmup_iters < config.lr_decay_iters == config.max_iters
        assert config.gradient_accumulation_steps % profile.gpus == 0


def test_an_unknown_profile_is_answered_with_the_nearest() -> None:
    """A wrong name gets a suggestion and the list; a path is no name."""
    with pytest.raises(ProfileError, match=r"no profile 'smok'\. Did you mean 'smoke'\? There are: .*gpt-345m"):
        load_profile("smok")
    with pytest.raises(ProfileError, match=r"no profile '\.\./profiles/smoke'"):
        load_profile("../profiles/smoke")


def test_a_device_that_a_profile_does_not_run_on_is_refused() -> None:
    """The message says where it runs and what the machine has."""
    profile = msgspec.structs.replace(load_profile("smoke"), devices=("cuda",))
    with pytest.raises(ProfileError, match="'smoke' runs on cuda, and this machine offers cpu"):
        resolve(profile, seed=1, device="cpu")


def test_later_values_win() -> None:
    """A task's values replace the profile's, and the operator's replace both."""
    profile = load_profile("smoke")
    config = resolve(
        profile, seed=1, device="cpu", adjust={"max_iters": 50, "min_lr": 0.0}, overridden={"max_iters": "7"}
    )
    assert (config.max_iters, config.lr_decay_iters, config.min_lr) == (7, 7, 0.0)
    assert config.learning_rate == profile.training["learning_rate"]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("learning_rate", "1e-3", 1e-3),
        ("learning_rate", "1", 1.0),
        ("max_iters", "1e3", 1000),
        ("bias", "true", True),
        ("dtype", "bfloat16", "bfloat16"),
        ("warmup_iters", "0", 0),
    ],
)
def test_values_are_read_as_they_are_typed(key: str, text: str, value: object) -> None:
    """Numbers with an exponent, booleans and names become values of the key's type."""
    found = getattr(resolve(load_profile("smoke"), seed=1, device="cpu", overridden={key: text}), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("learning_rate", "nan", "learning_rate='nan' does not fit"),
        ("learning_rate", "-1e-3", ">= 0"),
        ("learning_rate", "inf", "does not fit"),
        ("max_iters", "0", "max_iters='0' does not fit: Expected `int` >= 1"),
        ("max_iters", "1.5", "Expected `int`"),
        ("max_iters", "", "Expected `int`"),
        ("beta1", "1.0", "< 1.0"),
        ("seed", "-1", ">= 0"),
        ("bias", "perhaps", "Expected `bool`"),
        ("dtype", "bfloat", r"Did you mean 'bfloat16'\? There are: .*float32"),
        ("lerning_rate", "1", "no setting 'lerning_rate'. Did you mean 'learning_rate'?"),
        ("train_files", "/etc/passwd", "no setting 'train_files'"),
    ],
)
def test_values_that_no_run_could_have_are_refused(key: str, text: str, message: str) -> None:
    """An unknown key, another type or a number out of range is an error that says what would fit."""
    with pytest.raises(ProfileError, match=message):
        resolve(load_profile("smoke"), seed=1, device="cpu", overridden={key: text})


def test_a_profile_with_a_key_too_many_makes_no_run_config() -> None:
    """A key that the training script does not know is refused by name, in a profile and in a task's values."""
    with pytest.raises(ProfileError, match=r"'smoke' does not make a run config: .*`n_heads`"):
        resolve(load_profile("smoke"), seed=1, device="cpu", adjust={"n_heads": 4})
