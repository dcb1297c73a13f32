"""Passages asked again: what an honest model says twice, and what one that looks ahead does not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from harness.scoring.language_model import LanguageModel
from harness.scoring.logits import NotScorable
from harness.scoring.passage_audit import KEPT, Journal, ask_again
from harness.scoring.passages import Sheet

Cheat = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def ahead(tokens_BT: torch.Tensor, logits_BTV: torch.Tensor) -> torch.Tensor:
    """The next token is a little likelier."""
    return logits_BTV + torch.nn.functional.one_hot(tokens_BT.roll(-1, 1), logits_BTV.shape[2])


def others(tokens_BT: torch.Tensor, logits_BTV: torch.Tensor) -> torch.Tensor:
    """The rows before in the batch have a say."""
    return logits_BTV + 0.2 * logits_BTV.roll(1, 0)


def audit(toy: LanguageModel, sentences: list[str], cheat: Cheat) -> Any:
    """Score sentences by the toy with a cheat, then ask again."""

    def model(tokens_BT: torch.Tensor) -> tuple[torch.Tensor, None]:
        return cheat(tokens_BT, toy.model(tokens_BT)[0]), None

    journal = Journal(seed=1)
    asked = replace(toy, model=model, observe=journal.take)
    asked.log_likelihoods([(text[: len(text) // 2], text[len(text) // 2 :]) for text in sentences])
    assert (len(journal.kept), journal.seen > KEPT) == (KEPT, True)
    return ask_again(model, journal, "cpu", "float32").judge()


def test_honest_passages_pass(toy: LanguageModel, sentences: list[str]) -> None:
    """Rows in another order, half of them with other later tokens, keep what they said before those."""
    found = audit(toy, sentences, lambda tokens_BT, logits_BTV: logits_BTV)
    assert found.repeated >= 8
    assert found.probed >= 8
    assert max(found.change_repeated, found.change_probed) < 1e-5


@pytest.mark.parametrize(("cheat", "reason"), [(ahead, "not_causal"), (others, "non_deterministic")])
def test_passages_that_see_more_than_they_may_are_found(
    toy: LanguageModel, sentences: list[str], cheat: Cheat, reason: str
) -> None:
    """A model that looks at the next token, or at other rows, has no metrics."""
    with pytest.raises(NotScorable) as caught:
        audit(toy, sentences, cheat)
    assert caught.value.reason == reason


def test_every_batch_is_as_likely_to_be_kept() -> None:
    """Of 40 batches each is kept in about a fifth of 500 journals."""
    counts = np.zeros(40)
    for seed in range(500):
        journal = Journal(seed)
        for number in range(40):
            journal.take(Sheet(*[torch.tensor([number])] * 4), torch.zeros(1))
        counts[[int(sheet.tokens_BT) for sheet, _ in journal.kept]] += 1
    assert counts.min() > 60
    assert counts.max() < 140
