"""Counting parameters of mechanisms in the template's place."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.parameters import count_parameters, format_table, splice
from harness.script import define_script

ROOT = Path(__file__).parents[2]
# where sharing heads, or a gate, is the published method: see the files' own reasons
OUTSIDE = {"mqa", "gqa", "retnet"}


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "harness.parameters", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.fixture(scope="module")
def full_size() -> list[dict[str, Any]]:
    files = [str(path) for path in sorted((ROOT / "templates" / "attention").glob("*.py"))]
    return json.loads(run(*files, "--json"))


def test_each_mechanism_has_the_size_of_softmax_or_says_why(full_size: list[dict[str, Any]]) -> None:
    """At gpt-345m each lies within 5 % of 355 M parameters, apart from those whose docstring gives a reason."""
    assert len(full_size) == 18
    assert {row["key"] for row in full_size if not row["within"]} == OUTSIDE
    for row in full_size:
        assert (row["reason"] is None) is row["within"]
        assert row["ratio"] == pytest.approx(row["parameters"] / 355e6)


def test_softmax_has_the_parameters_of_gpt2_medium(full_size: list[dict[str, Any]]) -> None:
    """24 layers of 12 C^2 + 2 C, tokens, positions and the last norm, without biases."""
    C, expected = 1024, 24 * (12 * 1024**2 + 2 * 1024) + (50304 + 1024 + 1) * 1024
    (mha,) = (row for row in full_size if row["key"] == "mha")
    assert mha["parameters"] == expected
    (gla,) = (row for row in full_size if row["key"] == "gla")
    # 4 C^2 and the low-rank gate: C to 16 to C / 2 with bias, one gain a value of a head; positions switched off
    assert gla["parameters"] == expected - 1024 * C + 24 * (16 * C + 16 * C // 2 + C // 2 + C // 16)


def test_splice_replaces_lines_inclusively() -> None:
    """Lines first to last make way, all others keep their bytes."""
    assert splice("a\nb\nc\nd\n", "x\n", 2, 3) == "a\nx\nd\n"


def test_sizes_come_from_a_profile(tmp_path: Path) -> None:
    """Model sizes of a profile are used, its other keys ignored; the table names what lies outside 5 %."""
    profile = tmp_path / "profile.json"
    sizes = {"block_size": 64, "vocab_size": 300, "n_layer": 2, "n_head": 2, "n_embd": 32}
    profile.write_text(json.dumps({**sizes, "learning_rate": 1.0}), encoding="utf-8")
    arguments = ("--profile-json", str(profile), "--lines", "116-140", "--reference", "36000", "--json")
    (row,) = json.loads(run("templates/embedding/untied.py", *arguments))
    script = define_script((ROOT / "templates" / "custom_pretrain.py").read_text(encoding="utf-8"), "script")
    assert row["parameters"] == count_parameters(script, sizes) + 300 * 32
    assert not row["within"]
    assert "second matrix" in row["reason"]


def test_the_table_lists_reasons(tmp_path: Path) -> None:
    """The printed table has a line for each mechanism and one more for a reason."""
    text = run("templates/attention/mha.py", "templates/attention/mqa.py")
    heading, mha, mqa, reason = text.splitlines()
    assert "against 355 M" in heading
    assert mha.split() == ["mha", "354.6", "M", "-0.1%"]
    assert mqa.startswith("mqa")
    assert "shared head" in reason
    assert format_table([], 355e6) == heading
