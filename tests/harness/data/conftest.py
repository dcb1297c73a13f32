"""Toy data: a data root of its own for each test, a corpus of many short documents, GPT-2-shaped vocabulary files."""

import random
from pathlib import Path

import msgspec
import pytest


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root; the hub counts as out of reach and its cache as empty."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path / "root"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "no-cache"))
    return tmp_path / "root"


@pytest.fixture
def documents() -> list[str]:
    """Three hundred documents of a few paragraphs, some with letters outside ASCII."""
    dice = random.Random(7)
    words = ["the", "mechanism", "attends", "to", "every", "word", "naïve", "日本", "before it", "\n", "\n\n", "’tis"]
    return [f"Document {n}. " + " ".join(dice.choices(words, k=dice.randrange(20, 200))) + " End." for n in range(300)]


@pytest.fixture
def corpus(tmp_path: Path, documents: list[str]) -> Path:
    """The documents as one text file with separator lines."""
    path = tmp_path / "source" / "corpus.txt"
    path.parent.mkdir()
    path.write_text("".join(f"{text}\n<|endoftext|>\n" for text in documents), encoding="utf-8")
    return path


@pytest.fixture
def gpt2_folder(tmp_path: Path) -> Path:
    """Files of GPT-2's shape: 50257 tokens, 'Hello' is 15496, ' world' is 995, the end of text is 50256."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    merges = [("H", "e"), ("l", "l"), ("He", "ll"), ("Hell", "o"), ("Ġ", "w"), ("Ġw", "o"), ("r", "l"), ("Ġwo", "rl")]
    merges.append(("Ġworl", "d"))
    taken = {first + second for first, second in merges}
    pairs = ((first, second) for first in letters for second in letters if first + second not in taken)
    merges += [pair for pair, _ in zip(pairs, range(50000 - len(merges)), strict=False)]
    tokens = [*letters, *(first + second for first, second in merges), "<|endoftext|>"]
    for token, place in (("Hello", 15496), ("Ġworld", 995)):
        old = tokens.index(token)
        tokens[old], tokens[place] = tokens[place], tokens[old]
    folder = tmp_path / "gpt2_vocabulary"
    folder.mkdir()
    (folder / "vocab.json").write_bytes(msgspec.json.encode({token: number for number, token in enumerate(tokens)}))
    lines = "".join(f"{first} {second}\n" for first, second in merges)
    (folder / "merges.txt").write_text("#version: 0.2\n" + lines, encoding="utf-8")
    return folder
