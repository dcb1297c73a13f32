"""The metrics beside the validation loss: what measures which, each tried twice, none lost with another."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from harness.scoring import recall
from harness.scoring.downstream import TASKS, accuracies
from harness.scoring.lambada import last_words, load_passages
from harness.scoring.language_model import LanguageModel
from harness.scoring.logits import NotScorable
from harness.scoring.wikitext import load_pages, word_perplexity

Measure = Callable[[LanguageModel, Sequence[str]], dict[str, float]]
"""Measures those of its metrics that are named."""


def _wikitext(language_model: LanguageModel, names: Sequence[str]) -> dict[str, float]:
    return {"wikitext2_ppl": word_perplexity(language_model, load_pages())}


def _lambada(language_model: LanguageModel, names: Sequence[str]) -> dict[str, float]:
    found = last_words(language_model, load_passages())
    both = {"lambada_ppl": found.perplexity, "lambada_acc": found.accuracy}
    return {name: both[name] for name in names}


def _recall(language_model: LanguageModel, names: Sequence[str]) -> dict[str, float]:
    return recall.accuracies(language_model, names, recall.load_sequences())


GROUPS: tuple[tuple[tuple[str, ...], Measure], ...] = (
    (("wikitext2_ppl",), _wikitext),
    (("lambada_ppl", "lambada_acc"), _lambada),
    (tuple(TASKS), accuracies),
    (recall.METRICS, _recall),
)
"""Metrics that one pass measures, and what measures them."""

NAMES = ("val_loss", *(name for names, _ in GROUPS for name in names))


def measure(language_model: LanguageModel, asked: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Values and errors by metric. A group that fails is tried again, each metric alone, with half the batch."""
    values: dict[str, float] = {}
    errors = {
        name: f"there is no metric {name!r}. There are: {', '.join(NAMES)}" for name in asked if name not in NAMES
    }
    for group, how in GROUPS:
        names = [name for name in group if name in asked]
        if not names:
            continue
        found, failed = attempt(how, language_model, names)
        values |= found
        for name in names if failed else ():
            found, failed = attempt(how, smaller(language_model), [name])
            values |= found
            errors |= {name: failed} if failed else {}
    return {name: values[name] for name in asked if name in values}, errors


def smaller(language_model: LanguageModel) -> LanguageModel:
    """The same with half the batch, and the memory given back: too large a batch is the likeliest fault."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return replace(language_model, tokens_per_batch=max(1, language_model.tokens_per_batch // 2))


def attempt(how: Measure, language_model: LanguageModel, names: Sequence[str]) -> tuple[dict[str, float], str | None]:
    """What is measured, or why not. Raises NotScorable, for which no second try makes up."""
    try:
        return how(language_model, names), None
    except NotScorable:
        raise
    except Exception as problem:
        traceback.print_exc()
        return {}, f"{type(problem).__name__}: {problem}"
