"""`linbench profiles` and `linbench data`: what there is, what it costs, and how it is made ready."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.data.entries import ENTRIES
from harness.profiles import profile_names

Linbench = Callable[..., Any]


@pytest.fixture
def root(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, away from any network."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "data"


def test_profiles_are_listed_from_the_cheapest(linbench: Linbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its cost; hours only where the GPUs are known."""
    monkeypatch.setattr("sandbox.profile_report.gpu_names", list)
    rows = linbench("profiles", "--json").json["profiles"]
    assert {row["profile"] for row in rows} == set(profile_names())
    assert [row["flops"] for row in rows] == sorted(row["flops"] for row in rows)
    assert {row["hours"] for row in rows} == {None}
    assert "This machine has no GPU." in linbench("profiles").out
    monkeypatch.setattr("sandbox.profile_report.gpu_names", lambda: ["NVIDIA H200"] * 2)
    (found,) = (row for row in linbench("profiles", "--json").json["profiles"] if row["profile"] == "gpt-345m")
    assert 4 < found["hours"] < 8
    assert "GPUs here: NVIDIA H200, NVIDIA H200." in linbench("profiles").out


def test_a_profile_says_what_to_run_next(linbench: Linbench, root: Path) -> None:
    """A test where its data are there, else their preparation, with a source where the data are the user's own."""
    for name, command in (
        ("smoke", "linbench test --profile smoke"),
        ("recall", "linbench test --profile recall"),
        ("gpt-345m", "linbench data prepare fineweb10B"),
        ("prose-60m", "linbench data prepare prose --source FOLDER"),
    ):
        assert linbench("profiles", name).out.splitlines()[-1].split(maxsplit=1) == ["next", command]
    shown = linbench("profiles", "smoke", "--json").json
    assert (shown["prepared"], shown["settings"]["max_iters"], shown["data"]) == (True, 600, "pydocs")


def test_text_is_prepared_once_and_listed(linbench: Linbench, root: Path, tmp_path: Path) -> None:
    """A data set of one's own goes from `-` to prepared; asking again changes nothing, other settings are refused."""
    source = tmp_path / "mine.txt"
    source.write_text("\n<|endoftext|>\n".join(f"Document {n} is short." for n in range(200)))
    listed = {row["name"]: row for row in linbench("data", "list", "--json").json["data_sets"]}
    assert set(listed) == {entry.name for entry in ENTRIES}
    assert {name for name, row in listed.items() if row["prepared"]} == {"pydocs", "recall"}
    command = ["data", "prepare", "mine", "--source", source, "--tokenizer", "bytes"]
    made = linbench(*command, "--json")
    assert made.code == 0, made.out
    assert set(made.json["splits"]) == {"train", "dev", "validation"}
    assert linbench(*command, "--json").json == made.json
    listed = {row["name"]: row for row in linbench("data", "list", "--json").json["data_sets"]}
    assert listed["mine"]["prepared"]
    assert listed["mine"]["tokens"] == sum(split["tokens"] for split in made.json["splits"].values())
    other = linbench("data", "prepare", "mine", "--source", source, "--tokenizer", "characters")
    assert (other.code, "was prepared already" in other.out) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said", "next_command"),
    [
        (["nothere"], "no data set 'nothere'", "linbench data prepare nothere --source FILE"),
        (["text"], "any .txt, .jsonl or .parquet files", "linbench data prepare text --source DIR"),
        (["wikitext2"], "it wants wiki.test.raw", "linbench data prepare wikitext2 --source DIR"),
        (["pydocs"], "is built in", "linbench data list"),
        (["mine", "--source", "/nowhere"], "no file or folder /nowhere", None),
        (["mine", "--source", "/dev", "--tokenizer", "bpe:x"], "bpe:x", None),
        (["gpt2", "--tokenizer", "bytes"], "takes no tokenizer", None),
        (["../mine", "--source", "/nowhere"], "cannot name a data set", None),
        ([], "Missing argument", None),
    ],
)
def test_what_cannot_be_prepared_says_what_is_wanted(
    linbench: Linbench, root: Path, arguments: list[str], said: str, next_command: str | None
) -> None:
    """A wrong name, source or tokenizer exits 2 with the files that it wants, and leaves no data set."""
    reply = linbench("data", "prepare", *arguments)
    assert (reply.code, said in reply.out) == (2, True), reply.out
    assert next_command is None or f"\nhint: {next_command}\n" in reply.out
    assert not list(root.glob("*/manifest.json"))
