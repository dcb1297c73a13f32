"""The generated data set: what a sequence is, which of its parts can be made again, and what lies where."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.data import recall
from harness.data.dataset import open_dataset, verify
from harness.data.errors import DataError
from harness.data.manifest import read_manifest, write_manifest
from harness.data.prepare import prepare
from harness.data.recall import FILLER, SIZES, part, queries, sequences
from harness.data.training import training_data
from harness.data.validation import validation_tokens

FIRST_PAIR = 1 + SIZES.keys + SIZES.values
"""The token of the first key with the first value."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def split() -> np.ndarray:
    """Thirty sequences of all numbers of pairs."""
    return part(np.random.default_rng(4), 30)


def rows(path: Path) -> set[bytes]:
    """The sequences of a file."""
    tokens = np.fromfile(path, "<u2")
    assert len(tokens) % SIZES.length == 1
    assert tokens[-1] == FILLER
    return {row.tobytes() for row in tokens[:-1].reshape(-1, SIZES.length)}


@pytest.mark.parametrize("pairs", SIZES.pairs)
def test_every_key_that_is_asked_for_was_given_with_the_same_value(pairs: int) -> None:
    """Pairs of different keys come first; later each of them is asked for, and its own value stands behind it."""
    for row in sequences(np.random.default_rng(3), 50, pairs).tolist():
        told = [divmod(token - FIRST_PAIR, SIZES.values) for token in row[:pairs]]
        given = {1 + key: 1 + SIZES.keys + value for key, value in told}
        assert len(given) == pairs
        assert all(1 <= key <= SIZES.keys < value < FIRST_PAIR for key, value in given.items())
        rest = row[pairs:]
        asked = [pair for pair in zip(rest[0::2], rest[1::2], strict=True) if pair != (FILLER, FILLER)]
        assert rest == [FILLER] * (len(rest) - 2 * len(asked)) + [token for pair in asked for token in pair]
        assert set(asked) == set(given.items())


def test_queries_are_the_first_questions(split: np.ndarray) -> None:
    """They are found by the tokens alone: the places at which a key stands for the first time, one a pair."""
    asked_ST = queries(split)
    assert sorted(asked_ST.sum(1)) == sorted(SIZES.pairs * (len(split) // len(SIZES.pairs)))
    for row, asked in zip(split.tolist(), asked_ST.tolist(), strict=True):
        assert asked == [1 <= token <= SIZES.keys and token not in row[:place] for place, token in enumerate(row)]


def test_near_places_are_asked_at_more_often() -> None:
    """The places of the queries follow the power law: with 4 pairs, the first has ten times as many as the last."""
    counts_P = queries(sequences(np.random.default_rng(5), 2000, 4)).sum(0)[4::2]
    assert counts_P[0] == max(counts_P)
    assert counts_P[0] > 10 * counts_P[-5:].mean() > 0


def test_the_same_seed_makes_the_same_sequences() -> None:
    """A part is a function of its seed; train and dev never differ between two makings, validation always does."""
    once, again, other = (part(np.random.default_rng(seed), 30) for seed in (7, 7, 8))
    assert (once == again).all()
    assert (once != other).any()
    first, second = recall.make().splits, recall.make().splits
    assert {split: first[split] == second[split] for split in first} == {
        "train": True,
        "dev": True,
        "validation": False,
    }


def test_the_first_training_makes_it_and_later_ones_read_it(root: Path) -> None:
    """Train and dev files are handed out and hold whole sequences; the data set stays as it was made."""
    data = training_data("recall")
    assert training_data("recall") == data
    assert data.sha256 == verify("recall").sha256
    assert data.vocab_size == FIRST_PAIR + SIZES.keys * SIZES.values
    counts = dict(SIZES.sequences)
    train, dev = rows(data.train_files[0]), rows(data.dev_files[0])
    validation = rows(*open_dataset("recall").validation_files())
    assert len(validation) == counts["validation"]
    assert len(train) == counts["train"]
    assert not train & validation
    assert not dev & validation
    assert not train & dev
    assert "validation" not in " ".join(map(str, (*data.train_files, *data.dev_files)))
    assert len(validation_tokens("recall")) == counts["validation"] * SIZES.length + 1


def test_sequences_can_be_read_as_text(root: Path) -> None:
    """Every token is one character, and the filler is the line break that stands before a text."""
    prepare("recall")
    tokenizer = open_dataset("recall").tokenizer()
    row = sequences(np.random.default_rng(6), 1, 4)[0]
    text = tokenizer.decode(row.tolist())
    assert len(text) == SIZES.length
    assert (tokenizer.encode(text) == row).all()
    assert tokenizer.decode([FILLER]) == "\n"


def test_it_takes_no_source_and_no_tokenizer(root: Path, tmp_path: Path) -> None:
    """There is nothing to choose about it."""
    with pytest.raises(DataError, match="takes no source"):
        prepare("recall", [tmp_path])
    with pytest.raises(DataError, match="takes no tokenizer"):
        prepare("recall", tokenizer="bytes")
    with pytest.raises(DataError, match="its first training does"):
        open_dataset("recall")


def test_one_of_another_version_is_refused(root: Path) -> None:
    """A data set that was generated at other sizes is not taken for this one."""
    prepare("recall")
    manifest = read_manifest(root / "recall")
    assert manifest is not None
    old = recall.sources(msgspec.structs.replace(SIZES, keys=SIZES.keys + 1))
    write_manifest(root / "recall", msgspec.structs.replace(manifest, sources=old))
    with pytest.raises(DataError, match="another version") as caught:
        training_data("recall")
    assert caught.value.run == f"mv {root / 'recall'} {root / 'recall'}.old"
