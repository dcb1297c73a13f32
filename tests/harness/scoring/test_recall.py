"""Accuracy of recall: of a model that solves the task, of one that guesses, and what stands behind both."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.data.recall import SIZES, part, queries, tokenizer
from harness.data.training import training_data
from harness.scoring.language_model import LanguageModel
from harness.scoring.logits import NotScorable
from harness.scoring.metrics import measure
from harness.scoring.passage_audit import Journal, ask_again
from harness.scoring.recall import BY_PAIRS, MEAN, METRICS, accuracies, load_sequences

VOCABULARY = 192
FIRST_PAIR = 1 + SIZES.keys + SIZES.values


def remembers(tokens_BT: torch.Tensor, most: int = SIZES.length) -> torch.Tensor:
    """Logits of a model that looks its last token up among the `most` first pairs that it was given."""
    logits_BTV = torch.zeros(*tokens_BT.shape, VOCABULARY)
    for row, tokens in enumerate(tokens_BT.tolist()):
        memory: dict[int, int] = {}
        for place, token in enumerate(tokens):
            key, value = divmod(token - FIRST_PAIR, SIZES.values)
            if token >= FIRST_PAIR and len(memory) < most:
                memory[1 + key] = 1 + SIZES.keys + value
            if token in memory:
                logits_BTV[row, place, memory[token]] = 1.0
    return logits_BTV


def language_model(model: Any, **changes: Any) -> LanguageModel:
    """A function from tokens to logits as what scoring asks."""
    usual = LanguageModel(
        lambda tokens_BT: (model(tokens_BT), None), tokenizer(), SIZES.length, "cpu", "float32", 8 * SIZES.length
    )
    return replace(usual, **changes)


@pytest.fixture
def sequences() -> np.ndarray:
    """So few that the last batch is not full."""
    return part(np.random.default_rng(1), 30)


def test_a_model_that_solves_the_task_is_always_right(sequences: np.ndarray) -> None:
    """A lookup table has an accuracy of 1 at every number of pairs."""
    found = accuracies(language_model(remembers), METRICS, sequences)
    assert found == dict.fromkeys(METRICS, 1.0)


def test_a_small_memory_fails_where_there_are_many_pairs(sequences: np.ndarray) -> None:
    """One that holds six pairs answers all of 4, six of 8 and six of 16; the mean is over numbers of pairs."""
    found = accuracies(language_model(lambda tokens_BT: remembers(tokens_BT, 6)), METRICS, sequences)
    assert found["recall_4_pairs"] == 1
    assert found["recall_8_pairs"] == pytest.approx(6 / 8)
    assert found["recall_16_pairs"] == pytest.approx(6 / 16)
    assert found[MEAN] == pytest.approx((1 + 6 / 8 + 6 / 16) / 3)


def test_guessing_values_is_right_by_chance(sequences: np.ndarray) -> None:
    """Random logits over the values find one in so many; a model that says nothing finds none."""
    generator = torch.Generator().manual_seed(2)

    def guess(tokens_BT: torch.Tensor) -> torch.Tensor:
        logits_BTV = torch.rand(*tokens_BT.shape, VOCABULARY, generator=generator)
        logits_BTV[..., 1 + SIZES.keys : 1 + SIZES.keys + SIZES.values] += 1
        return logits_BTV

    many = part(np.random.default_rng(2), 300)
    assert accuracies(language_model(guess), [MEAN], many)[MEAN] == pytest.approx(1 / SIZES.values, abs=0.03)
    silent = language_model(lambda tokens_BT: torch.zeros(*tokens_BT.shape, VOCABULARY))
    assert accuracies(silent, [MEAN], sequences) == {MEAN: 0.0}


def test_the_model_is_asked_at_queries_alone(sequences: np.ndarray) -> None:
    """What a model says elsewhere does not count, and each query is one place."""
    asked = []

    def right_at_queries(tokens_BT: torch.Tensor) -> torch.Tensor:
        asked_BT = torch.from_numpy(queries(tokens_BT.numpy().astype(np.uint16)))
        asked.append(int(asked_BT.sum()))
        return remembers(tokens_BT) * asked_BT[..., None]

    assert accuracies(language_model(right_at_queries), [MEAN], sequences) == {MEAN: 1.0}
    assert sum(asked) == sum(SIZES.pairs) * len(sequences) // len(SIZES.pairs)


def test_a_model_that_looks_ahead_is_found(sequences: np.ndarray) -> None:
    """The audit of passages sees the answers to recall too: one that copies the next token has no score."""
    many = part(np.random.default_rng(3), 300)
    honest, journal = language_model(remembers), Journal(seed=1)
    accuracies(replace(honest, observe=journal.take), [MEAN], many)
    assert ask_again(honest.model, journal, "cpu", "float32").judge().probed > 8

    def ahead(tokens_BT: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(tokens_BT.roll(-1, 1), VOCABULARY).float()

    cheat, journal = language_model(ahead), Journal(seed=1)
    assert accuracies(replace(cheat, observe=journal.take), [MEAN], many) == {MEAN: 1.0}
    with pytest.raises(NotScorable) as caught:
        ask_again(cheat.model, journal, "cpu", "float32").judge()
    assert caught.value.reason == "not_causal"


def test_logits_that_are_no_numbers_are_no_score(sequences: np.ndarray) -> None:
    """NaN at a query is not taken for a wrong answer."""
    broken = language_model(lambda tokens_BT: remembers(tokens_BT) * float("nan"))
    with pytest.raises(NotScorable, match="not finite"):
        accuracies(broken, [MEAN], sequences)


def test_the_profile_measures_it_on_the_validation_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics are found by their names, over all validation sequences; a shorter context is an error in words."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path))
    training_data("recall")
    sequences = load_sequences()
    assert sequences.shape == (dict(SIZES.sequences)["validation"], SIZES.length)
    assert set(queries(sequences).sum(1)) == set(BY_PAIRS.values())
    model = language_model(lambda tokens_BT: torch.zeros(*tokens_BT.shape, VOCABULARY))
    assert measure(model, ["recall_8_pairs", MEAN]) == ({"recall_8_pairs": 0.0, MEAN: 0.0}, {})
    values, errors = measure(replace(model, block_size=32), [MEAN])
    assert values == {}
    assert "a sequence has 64 tokens" in errors[MEAN]
