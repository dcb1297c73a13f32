"""LAMBADA as lm-eval's task `lambada_openai` defines it: the last word of a passage, given all before it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from harness.data.dataset import open_dataset
from harness.scoring.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class Lambada:
    """Both figures of one pass over the passages."""

    perplexity: float
    """exp(-mean log-likelihood of the last word, all its tokens together)."""
    accuracy: float
    """Share of passages in which every token of the last word is the likeliest."""


def load_passages() -> list[str]:
    """The 5,153 passages of the prepared test split. Raises DataError where it is not prepared."""
    (file,) = open_dataset("lambada").files("test")
    return [msgspec.json.decode(line)["text"] for line in file.read_bytes().splitlines()]


def last_words(language_model: LanguageModel, passages: Sequence[str]) -> Lambada:
    """Score the last word, the space before it included, of each passage; words are parted by single spaces."""
    pairs = [(context, f" {word}") for context, _, word in (passage.rpartition(" ") for passage in passages)]
    scores = language_model.log_likelihoods(pairs)
    mean = sum(score.log_likelihood for score in scores) / len(scores)
    return Lambada(math.exp(-mean), sum(score.greedy for score in scores) / len(scores))
