"""The run config's hash: what makes two runs comparable."""

import msgspec

from harness.profiles import load_profile, resolve
from harness.run_config import PATHS, RunConfig, config_sha256, without_paths

CONFIG = resolve(load_profile("smoke"), seed=1, device="cpu")


def test_where_the_files_lie_is_not_part_of_the_hash() -> None:
    """The same run on another machine, with other folders, has the same hash."""
    moved = msgspec.structs.replace(
        CONFIG, train_files=("/a",), dev_files=("/b",), metrics_file="c", checkpoint_file="d"
    )
    assert config_sha256(moved) == config_sha256(CONFIG)
    assert without_paths(moved) == without_paths(CONFIG)


def test_every_other_value_is_part_of_the_hash() -> None:
    """A change of any setting changes the hash."""
    seen = {config_sha256(CONFIG)}
    settings = without_paths(CONFIG)
    for key, value in settings.items():
        others: dict[str, object] = {"device": "cuda", "dtype": "bfloat16", "bias": True}
        changed = others[key] if key in others else value + 1 if isinstance(value, int) else value / 2 + 0.01
        seen.add(config_sha256(msgspec.convert({**settings, key: changed}, RunConfig)))
    assert len(seen) == len(settings) + 1
    assert {*settings, *PATHS} == {field.name for field in msgspec.structs.fields(RunConfig)}


def test_the_hash_survives_a_ledger() -> None:
    """A config that was written as JSON without its paths and read again is the same run."""
    again = msgspec.json.decode(msgspec.json.encode(without_paths(CONFIG)), type=RunConfig)
    assert config_sha256(again) == config_sha256(CONFIG)
