"""Batched log-likelihoods of token sequences."""

import copy

import pytest
import torch

from harness.scoring.language_model import LanguageModel
from harness.scoring.logits import NotScorable
from harness.scoring.passages import Passage, batches, cut, padded_length, score_passages


@torch.no_grad()
def score_alone(toy: LanguageModel, passage: Passage) -> tuple[float, bool]:
    """The same by the formula, one passage at a time and without padding."""
    logits_TV = toy.model(torch.tensor([list(passage.tokens[:-1])]))[0][0, -passage.scored :].double()
    targets_T = torch.tensor(passage.tokens[-passage.scored :])
    log_likelihood = logits_TV.log_softmax(1).gather(1, targets_T[:, None]).sum()
    return float(log_likelihood), bool((logits_TV.argmax(1) == targets_T).all())


def test_batches_change_nothing(toy: LanguageModel) -> None:
    """Padding, sorting and batching leave each passage with the score that it has alone, in the order asked."""
    torch.manual_seed(1)
    passages = []
    for length in (3, 65, 40, 2, 33, 64, 34, 12, 65, 5):
        tokens = torch.randint(300, (length,)).tolist()
        passages.append(Passage(tokens, 1 + length // 2 if length > 3 else 1))
    likeliest = toy.model(torch.tensor([passages[0].tokens[:-1]]))[0][0, -1].argmax().item()
    passages.append(Passage([*passages[0].tokens[:-1], likeliest], 1))
    scores = score_passages(toy.model, passages, block_size=64, tokens_per_batch=128, device="cpu", dtype="float32")
    for passage, score in zip(passages, scores, strict=True):
        log_likelihood, greedy = score_alone(toy, passage)
        assert score.log_likelihood == pytest.approx(log_likelihood, rel=1e-4)
        assert score.greedy == greedy
    assert scores[-1].greedy
    assert not scores[0].greedy


def test_logits_are_taken_in_chunks(toy: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few rows add up to what one chunk gives."""
    passages = [Passage(list(range(60)), 59), Passage(list(range(50, 110)), 20)]
    settings = {"block_size": 64, "tokens_per_batch": 128, "device": "cpu", "dtype": "float32"}
    whole = score_passages(toy.model, passages, **settings)
    monkeypatch.setattr("harness.scoring.passages._ELEMENTS", 2000)
    parts = score_passages(toy.model, passages, **settings)
    assert [score.log_likelihood for score in parts] == pytest.approx([score.log_likelihood for score in whole])


def test_each_token_of_a_long_text_is_predicted_once() -> None:
    """Passages cover the continuation without overlap, and all but the first have a full context."""
    for length in (1, 7, 8, 9, 16, 29):
        passages = cut([99], range(length), 8)
        covered = [token for passage in passages for token in passage.tokens[-passage.scored :]]
        assert covered == list(range(length))
        assert passages[0].tokens[0] == 99
        assert all(passage.inputs == 8 for passage in passages[1:])


def test_a_long_context_loses_its_beginning() -> None:
    """Where context and continuation do not fit together, the oldest tokens go."""
    (passage,) = cut(list(range(20)), [50, 51], 8)
    assert passage == Passage([13, 14, 15, 16, 17, 18, 19, 50, 51], 2)


def test_nothing_cannot_be_scored() -> None:
    """A continuation without tokens, or one after nothing at all, is refused."""
    for context, continuation in (([1], []), ([], [1])):
        with pytest.raises(ValueError, match="tokens after"):
            cut(context, continuation, 8)


def test_few_shapes_and_little_padding() -> None:
    """Lengths up to 1024 come in 16 shapes, none shorter than the passage or longer than the model sees."""
    padded = [padded_length(length, 1024) for length in range(1, 1025)]
    assert len(set(padded)) == 16
    assert all(length <= wide <= 1024 for length, wide in enumerate(padded, 1))
    assert padded_length(100, 100) == 100


def test_a_batch_holds_no_more_tokens_than_asked() -> None:
    """Every passage is in one batch, and a batch's padded tokens fit, or it is a single passage."""
    passages = [Passage([0] * (length + 1), 1) for length in (10, 900, 30, 500, 33, 64, 31, 5)]
    found = list(batches(passages, 1024, 128))
    assert sorted(number for _, numbers in found for number in numbers) == list(range(8))
    assert all(length * len(numbers) <= 128 or len(numbers) == 1 for length, numbers in found)


def test_broken_logits_are_named() -> None:
    """A model that gives NaN, or logits of another shape, is not scored."""
    settings = {"block_size": 64, "tokens_per_batch": 128, "device": "cpu", "dtype": "float32"}
    with pytest.raises(NotScorable, match="not finite"):
        score_passages(lambda idx: (torch.full((*idx.shape, 9), torch.nan), None), [Passage([1, 2], 1)], **settings)
    with pytest.raises(NotScorable, match="shape"):
        score_passages(lambda idx: (torch.zeros(idx.shape[0], 1, 9), None), [Passage([1, 2], 1)], **settings)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_scores(toy: LanguageModel) -> None:
    """Float32 on CUDA agrees with the CPU to five digits, bfloat16 autocast in the mean to a few hundredths a token."""
    dice = torch.Generator().manual_seed(2)
    passages = [Passage(torch.randint(300, (65,), generator=dice).tolist(), 40) for _ in range(50)]
    settings = {"block_size": 64, "tokens_per_batch": 512}
    expected = [
        score.log_likelihood for score in score_passages(toy.model, passages, device="cpu", dtype="float32", **settings)
    ]
    model = copy.deepcopy(toy.model).to("cuda")
    exact = score_passages(model, passages, device="cuda", dtype="float32", **settings)
    assert [score.log_likelihood for score in exact] == pytest.approx(expected, rel=1e-5)
    rough = score_passages(model, passages, device="cuda", dtype="bfloat16", **settings)
    gap = sum(score.log_likelihood for score in rough) - sum(expected)
    assert abs(gap) / (50 * 40) < 0.03
