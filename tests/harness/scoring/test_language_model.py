"""Text in, log-likelihoods out."""

import math

import pytest
import torch

from harness.data.tokenizer import ByteTokenizer
from harness.scoring.language_model import LanguageModel


def test_log_likelihoods_add_up(toy: LanguageModel) -> None:
    """By the chain rule a continuation's log-likelihood is that of its beginning plus that of the rest."""
    context, first, rest = "The river bends", " where old", " stones lie"
    whole, beginning, end = toy.log_likelihoods([(context, first + rest), (context, first), (context + first, rest)])
    assert beginning.log_likelihood + end.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-5)


def test_spaces_before_the_continuation_belong_to_it(toy: LanguageModel) -> None:
    """Where the space stands makes no difference: tokens begin with their space."""
    first, second = toy.log_likelihoods([("The river", " bends"), ("The river ", "bends")])
    assert first == second
    assert toy.log_likelihoods([(" ", "bends")]) == toy.log_likelihoods([("", " bends")])


def test_a_continuation_longer_than_the_model_sees(toy: LanguageModel) -> None:
    """It is scored whole, in several passages."""
    text = "The river bends " * 30
    assert len(toy.tokenizer.encode(text)) > 2 * toy.block_size
    (score,) = toy.log_likelihoods([("", text)])
    assert score.log_likelihood == pytest.approx(toy.rolling_log_likelihoods([text])[0], rel=1e-6)


def test_bytes_have_a_line_break_for_a_prefix() -> None:
    """Without an end-of-text token a text follows a line break; a model that knows nothing gives 256 choices a byte."""
    seen: list[torch.Tensor] = []

    def uniform(idx: torch.Tensor) -> tuple[torch.Tensor, None]:
        seen.append(idx)
        return torch.zeros(*idx.shape, 256), None

    model = LanguageModel(uniform, ByteTokenizer(), 128, "cpu", "float32", 256)
    (found,) = model.rolling_log_likelihoods(["naïve"])
    assert found == pytest.approx(-6 * math.log(256), rel=1e-6)
    assert seen[0][0, :3].tolist() == [10, ord("n"), ord("a")]
