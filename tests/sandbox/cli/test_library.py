"""`linbench mechanisms`, `edit --from` and `baseline`: what is known, from the library to the leaderboard."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.discovery import find
from sandbox.paths import templates_dir

Linbench = Callable[..., Any]
TinyRun = Callable[..., list[str]]


def test_a_mechanism_is_printed_with_its_facts_and_its_source(linbench: Linbench) -> None:
    """The reply holds what the file says, and ends with the command that uses it."""
    reply = linbench("mechanisms", "deltanet")
    assert reply.code == 0
    assert (templates_dir() / "attention" / "deltanet.py").read_text().strip() in reply.out
    assert reply.out.splitlines()[-1].split(maxsplit=1) == ["next", "linbench edit --region attention --from deltanet"]
    facts = linbench("mechanisms", "untied", "--json").json
    assert (facts["key"], facts["region"]) == ("untied", "embedding")
    assert facts["paper"]


def test_all_mechanisms_are_counted_at_the_size_of_a_profile(linbench: Linbench) -> None:
    """The table has every file of the library, with the parameters of a whole model and why they are far off."""
    reply = linbench("mechanisms", "--profile", "smoke", "--json").json
    assert (reply["profile"], reply["untouched_parameters"]) == ("smoke", 836736)
    rows = {(row["region"], row["key"]): row for row in reply["mechanisms"]}
    shipped = [path for region in ("attention", "embedding") for path in (templates_dir() / region).glob("*.py")]
    assert set(rows) == {(path.parent.name, path.stem) for path in shipped}
    assert rows["attention", "mha"]["model_parameters"] == 836736
    assert rows["embedding", "untied"]["model_parameters"] == 836736 + 256 * 128
    assert rows["attention", "mqa"]["ratio"] < 0.95
    assert rows["attention", "mqa"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "said", "next_command"),
    [
        (["mechanisms", "delta"], "Did you mean 'deltanet'?", "linbench mechanisms"),
        (["mechanisms", "--profile", "smok"], "Did you mean 'smoke'?", "linbench profiles"),
        (["edit", "--region", "attention", "--from", "gl"], "Did you mean 'gla'?", "linbench mechanisms"),
        (
            ["edit", "--region", "attention", "--from", "untied"],
            "no mechanism 'untied' for the region 'attention'",
            "linbench edit --region embedding --from untied",
        ),
        (["edit", "--from", "gla"], "--from goes with --region", "linbench edit --region attention --from gla"),
        (
            ["edit", "--range", "33-70", "--from", "gla"],
            "--from goes with --region",
            "linbench edit --region attention --from gla",
        ),
        (["edit", "--region", "attention", "--from", "gla", "--content", "x"], "Give one of", "linbench edit --help"),
        (["baseline", "retne"], "Did you mean 'retnet'? There are:", "linbench tasks"),
        (["baseline", "gla", "--set", "max_iters"], "KEY=VALUE", "linbench baseline gla --set max_iters=200"),
        (["baseline", "gla", "--set", "max_iters=many"], "max_iters='many' does not fit", "linbench baseline --help"),
    ],
)
def test_what_is_not_in_the_library_is_answered_with_what_is(
    linbench: Linbench, runs: Path, arguments: list[str], said: str, next_command: str
) -> None:
    """An unknown key or a half command exits 2 with the nearest one; no session is opened by a wrong baseline."""
    reply = linbench(*arguments)
    assert (reply.code, said in reply.out) == (2, True), reply.out
    assert f"\nhint: {next_command}\n" in reply.out
    assert arguments[0] != "baseline" or not runs.exists()


def test_a_mechanism_takes_the_place_of_its_region(linbench: Linbench, runs: Path) -> None:
    """The region then holds the file, byte for byte."""
    linbench("start")
    assert linbench("edit", "--region", "attention", "--from", "linear").code == 0
    document = find(None, runs).read().document
    assert document.contents[0] == (templates_dir() / "attention" / "linear.py").read_text()


def test_a_baseline_goes_from_start_to_the_leaderboard(linbench: Linbench, runs: Path, tiny_run: TinyRun) -> None:
    """One command leaves a closed session of kind baseline with one test of that mechanism, ranked under its name."""
    short = tiny_run(n_head=1, max_iters=4, eval_interval=2, checkpoint_interval=4)
    reply = linbench("baseline", "untied", "--profile", "smoke", "--seed", "7", *short, "--json")
    assert reply.code == 0, reply.out
    row = reply.json["submitted"]["row"]
    assert (row["name"], row["kind"], row["task"], row["profile"]) == (
        "untied",
        "baseline",
        "llm-pretrain-embedding",
        "smoke",
    )
    state = find(None, runs, or_closed=True).read()
    assert (state.closed, state.start.tests, state.start.seed, len(state.tests)) == (True, 1, 7, 1)
    assert state.document.contents[0] == (templates_dir() / "embedding" / "untied.py").read_text()
