"""The run config's hash: what makes two runs comparable."""

import msgspec

from harness.profiles import load_profile, resolve
from harness.run_config import PATHS, REPORTING, RunConfig, config_sha256, halve_micro_batch, without_paths

CONFIG = resolve(load_profile("smoke"), seed=1, device="cpu")


def test_where_the_files_lie_is_not_part_of_the_hash() -> None:
    """The same run on another machine, with other folders, has the same hash."""
    moved = msgspec.structs.replace(
        CONFIG, train_files=("/a",), dev_files=("/b",), metrics_file="c", checkpoint_file="d"
    )
    assert config_sha256(moved) == config_sha256(CONFIG)
    assert without_paths(moved) == without_paths(CONFIG)


def test_what_a_run_learns_from_is_the_hash() -> None:
    """A change of any setting changes the hash, but for those of what it reports."""
    settings = without_paths(CONFIG)
    others: dict[str, object] = {"device": "cuda", "dtype": "bfloat16", "bias": True}
    seen = {}
    for key, value in settings.items():
        changed = others[key] if key in others else value + 1 if isinstance(value, int) else value / 2 + 0.01
        seen[key] = config_sha256(msgspec.convert({**settings, key: changed}, RunConfig))
    same = {key for key, sha256 in seen.items() if sha256 == config_sha256(CONFIG)}
    assert same == set(REPORTING)
    different = {sha256 for key, sha256 in seen.items() if key not in REPORTING}
    assert len(different) == len(settings) - len(REPORTING)
    assert {*settings, *PATHS} == {field.name for field in msgspec.structs.fields(RunConfig)}


def test_smaller_micro_batches_are_the_same_run() -> None:
    """Halving the micro-batch keeps the batch, the text of an evaluation and the hash, down to one window."""
    halves = [CONFIG]
    while half := halve_micro_batch(halves[-1]):
        halves.append(half)
    assert [half.micro_batch_size for half in halves] == [8, 4, 2, 1]
    assert {half.micro_batch_size * half.gradient_accumulation_steps for half in halves} == {8}
    assert {half.micro_batch_size * half.eval_iters for half in halves} == {8 * CONFIG.eval_iters}
    assert len({config_sha256(half) for half in halves}) == 1


def test_the_hash_survives_a_ledger() -> None:
    """A config that was written as JSON without its paths and read again is the same run."""
    again = msgspec.json.decode(msgspec.json.encode(without_paths(CONFIG)), type=RunConfig)
    assert config_sha256(again) == config_sha256(CONFIG)
