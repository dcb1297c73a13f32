"""Text continued token by token."""

import pytest
import torch

from harness.scoring.generation import greedy, sampled
from harness.scoring.language_model import LanguageModel


def test_greedy_text_is_the_likeliest_token_by_token(toy: LanguageModel) -> None:
    """A batch of prompts of different lengths continues as each does alone by argmax, past the block size too."""
    prompts = ["The river", "and nobody counts them before", "to town again " * 40]
    texts = toy.generate(prompts, most=6)
    for prompt, text in zip(prompts, texts, strict=True):
        tokens = toy.tokenizer.encode(prompt).tolist()
        new: list[int] = []
        while len(new) < 6 and toy.tokenizer.end_of_text not in new:
            logits_V = toy.model(torch.tensor([(tokens + new)[-64:]]))[0][0, -1, : toy.tokenizer.vocab_size]
            new.append(int(logits_V.argmax()))
        assert text == toy.tokenizer.decode([token for token in new if token != toy.tokenizer.end_of_text])


def test_text_ends_before_a_stop_string(toy: LanguageModel) -> None:
    """What `until` names is cut off with everything after it, and nothing is generated beyond it."""
    (free,) = toy.generate(["The river"], most=12)
    stop = free[3:5]
    (stopped,) = toy.generate(["The river"], most=12, until=["never said", stop])
    assert stopped == free.partition(stop)[0]


def test_equal_seeds_give_equal_samples(toy: LanguageModel) -> None:
    """A seed decides the text; another seed gives another."""
    texts = [toy.generate(["The river"], 20, choose=sampled(1.0, seed))[0] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_samples_follow_the_softmax() -> None:
    """Draws have the frequencies of softmax(logits / temperature); the greedy choice is the likeliest."""
    logits_BV = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(20000, 4)
    counts_V = sampled(2.0, 0)(logits_BV).bincount(minlength=4) / 20000
    assert counts_V.tolist() == pytest.approx((logits_BV[0] / 2).softmax(0).tolist(), abs=0.02)
    assert greedy(logits_BV).unique().tolist() == [2]


def test_spare_rows_are_never_taken(toy: LanguageModel) -> None:
    """Token ids beyond the tokenizer's vocabulary are not generated, however likely they are."""

    def spare(idx: torch.Tensor) -> tuple[torch.Tensor, None]:
        logits_BTV = torch.zeros(*idx.shape, toy.tokenizer.vocab_size + 7)
        logits_BTV[..., -1], logits_BTV[..., 40] = 9.0, 5.0
        return logits_BTV, None

    model = LanguageModel(spare, toy.tokenizer, 64, "cpu", "float32", 256)
    assert model.generate(["The"], 3) == [toy.tokenizer.decode([40] * 3)]
