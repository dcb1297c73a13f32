"""What is measured when: visible metrics with the test, or again by `score`; hidden ones at the submission alone."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.discovery import find

Linbench = Callable[..., Any]
TinyRun = Callable[..., list[str]]

HIDDEN = ["arc_easy", "hellaswag", "piqa", "winogrande"]
WIKITEXT = " \n = One = \n \n A page . \n \n = Two = \n \n Another , longer page . \n"


@pytest.fixture
def prepare(linbench: Linbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Prepares a data set from files of these names and texts, by the command."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def from_files(name: str, files: dict[str, str], *options: str) -> None:
        folder = tmp_path / f"{name}-source"
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        reply = linbench("data", "prepare", name, "--source", folder, *options)
        assert reply.code == 0, reply.out

    return from_files


def values_in(folder: Path, name: str) -> list[str]:
    """The files below a folder that state a number for a metric."""
    texts = {path: path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()}
    return [path.name for path, text in texts.items() if f'"{name}":' in text.replace('": ', '":')]


def test_metrics_come_when_they_may(
    linbench: Linbench, runs: Path, prepare: Callable[..., None], lawless: Path, tiny_run: TinyRun
) -> None:
    """What lacks its data set is measured by `score` once it is there, at no cost; hidden metrics by `submit` alone.

    Before that they are in no reply and no file of the session. `sample` writes from the same checkpoint.
    """
    dice = random.Random(1)
    documents = [" ".join(dice.choices(["the", "river", "bends", "where", "stones", "lie"], k=40)) for _ in range(300)]
    prepare("prose", {"mine.txt": "\n<|endoftext|>\n".join(documents)}, "--tokenizer", "bytes")
    questions = [json.dumps({"goal": f"go {n}", "sol1": "by the river", "sol2": "by night"}) + "\n" for n in range(4)]
    prepare("piqa", {"valid.jsonl": "".join(questions), "valid-labels.lst": "0\n1\n1\n0\n"})
    linbench("start", lawless, "--profile", "prose-60m")
    linbench("edit", "--old", "x = x + self.mlp(self.ln_2(x))", "--new", "x = self.mlp(self.ln_2(x)) + x")
    short = tiny_run(n_head=1, vocab_size=257, max_iters=4, eval_interval=2, checkpoint_interval=4)
    tested = linbench("test", *short, "--json")
    assert tested.code == 0, tested.out
    assert list(tested.json["metrics"]) == ["val_loss"]
    assert set(tested.json["facts"]["not_measured"]) == {"wikitext2_ppl", "lambada_ppl"}

    prepare("wikitext2", {"wiki.test.raw": WIKITEXT})
    scored = linbench("score", "1", "--json")
    assert scored.code == 0, scored.out
    assert list(scored.json["metrics"]) == ["val_loss", "wikitext2_ppl"]
    assert scored.json["metrics"]["val_loss"] == tested.json["metrics"]["val_loss"]
    assert set(scored.json["facts"]["not_measured"]) == {"lambada_ppl"}
    assert "lambada_ppl could not be measured" in scored.err
    assert linbench("status", "--json").json["budget"] == {"tests": 3, "left": 2, "refunded": 0}

    drawn = linbench("sample", "1", "--prompt", "the ", "--tokens", "5", "--samples", "2", "--json").json
    assert (len(drawn["texts"]), drawn["step"], drawn["prompt"]) == (2, 4, "the ")

    session = find(None, runs)
    assert scored.json["withheld"] == HIDDEN
    assert [values_in(session.folder.root, name) for name in HIDDEN] == [[], [], [], []]
    submitted = linbench("submit", "1", "--json")
    assert submitted.code == 0, submitted.out
    row = submitted.json["submitted"]["row"]
    assert set(row["metrics"]) == {"val_loss", "wikitext2_ppl", "piqa"}
    assert 0 <= row["metrics"]["piqa"] <= 1
    assert "winogrande is left out of the row" in submitted.err
    assert linbench("runs", "1", "--json").json["metrics"]["piqa"] == row["metrics"]["piqa"]
    assert linbench("score", "1", "--session", session.name).code == 2


def test_a_test_without_a_checkpoint_is_neither_scored_nor_sampled(linbench: Linbench) -> None:
    """An unknown test is refused with what there is."""
    linbench("start")
    for command in ("score", "sample"):
        reply = linbench(command, "1")
        assert (reply.code, "There is no test 1" in reply.out) == (2, True)
        assert "hint: linbench test" in reply.out
