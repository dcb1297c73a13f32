"""The validation loss against its definition, and what is no language model's answer."""

import hashlib
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from harness.scoring.logits import NotScorable
from harness.scoring.loss import ValidationLoss, validation_loss, windows

VOCABULARY = 11


class Toy(torch.nn.Module):
    """Logits by a table of the last two tokens; remembers what it was asked."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor] = lambda logits: logits):
        super().__init__()
        table = np.random.default_rng(0).normal(size=(VOCABULARY, VOCABULARY, VOCABULARY)) * 2
        self.table = torch.nn.Parameter(torch.tensor(table, dtype=torch.float32))
        self.change, self.asked = change, []  # type: ignore[var-annotated]

    def forward(self, idx: torch.Tensor, *targets: torch.Tensor) -> tuple[torch.Tensor, None]:
        assert not targets
        assert not self.training
        assert not torch.is_grad_enabled()
        self.asked.append(idx.clone())
        before = torch.cat([torch.zeros_like(idx[:, :1]), idx[:, :-1]], 1)
        return self.change(self.table[before, idx]), None


def tokens(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, VOCABULARY, count).astype("<u2")


def loss_of(model: Toy, windows_WT: np.ndarray, batch_size: int) -> ValidationLoss:
    return validation_loss(model.eval(), windows_WT, batch_size, "cpu", "float32")


def by_definition(model: Toy, stream: np.ndarray, block_size: int, most: int) -> float:
    """Mean of -log p(token | at most block_size tokens before it in its window), in float64 and plain Python."""
    table, losses = model.table.detach().double().numpy(), []
    for window in range(most):
        first = window * block_size
        for t in range(block_size):
            before = int(stream[first + t - 1]) if t else 0
            logits = table[before, int(stream[first + t])]
            losses.append(math.log(sum(math.exp(z) for z in logits)) - logits[int(stream[first + t + 1])])
    return sum(losses) / len(losses)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize(("most", "scored"), [(None, 12), (5, 5), (100, 12)])
def test_the_loss_is_that_of_the_definition(batch_size: int, most: int | None, scored: int) -> None:
    """Over all windows or the first few, in batches of any size, the loss is the mean negative log-probability."""
    model, stream = Toy(), tokens(100)
    found = loss_of(model, windows(stream, 8, most), batch_size)
    assert found.loss == pytest.approx(by_definition(model, stream, 8, scored), abs=1e-6)
    assert found.tokens == 8 * scored


def test_the_model_never_gets_the_targets() -> None:
    """What the model is asked holds each window's inputs, and the last token of the stream is never among them."""
    model, stream = Toy(), np.arange(33, dtype="<u2") % VOCABULARY
    stream[32] = 10
    stream[:32] %= 10
    loss_of(model, windows(stream, 8), 2)
    assert [tuple(idx.shape) for idx in model.asked] == [(2, 8), (2, 8)]
    assert not any((idx == 10).any() for idx in model.asked)


def test_the_hash_names_the_windows_alone() -> None:
    """The hash depends on the tokens that are scored, not on the batches, the model or what follows."""
    stream, longer, other = tokens(100), tokens(100), tokens(100)
    longer[97:] = 0
    other[96] = (other[96] + 1) % VOCABULARY
    first = loss_of(Toy(), windows(stream, 8), 3)
    assert loss_of(Toy(lambda logits: logits * 2), windows(longer, 8), 64).sha256 == first.sha256
    assert loss_of(Toy(), windows(other, 8), 3).sha256 != first.sha256
    assert loss_of(Toy(), windows(stream, 8, 11), 3).sha256 != first.sha256
    assert first.sha256 == hashlib.sha256(windows(stream, 8).astype("<u2").tobytes()).hexdigest()


def test_windows_overlap_by_one_token() -> None:
    """Each token but the first is a target once; a rest that fills no window is left out."""
    stream = np.arange(30, dtype="<u2")
    cut = windows(stream, 8)
    assert cut.tolist() == [list(range(first, first + 9)) for first in (0, 8, 16)]
    assert windows(stream[:9], 8).shape == (1, 9)
    with pytest.raises(ValueError, match="8 tokens hold no window of 9"):
        windows(stream[:8], 8)


def one_nan(logits: torch.Tensor) -> torch.Tensor:
    logits = logits.clone()
    logits[-1, -1, -1] = math.nan
    return logits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_nan, "some logits are not finite"),
        (lambda logits: logits - math.inf, "some logits are not finite"),
        (lambda logits: logits[:, 1:], r"the logits have the shape \(4, 7, 11\) for tokens \(4, 8\)"),
        (lambda logits: logits[:1], r"the logits have the shape \(1, 8, 11\) for tokens \(4, 8\)"),
        (lambda logits: logits[..., 0], r"the logits have the shape \(4, 8\) for tokens \(4, 8\)"),
        (lambda logits: logits[..., :5], r"5 logits a position for token"),
    ],
)
def test_what_is_no_distribution_over_tokens_is_refused(
    change: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    """NaN, infinity, positions left out and too few tokens to choose from are no score."""
    with pytest.raises(NotScorable, match=message):
        loss_of(Toy(change), windows(tokens(100), 8), 4)


def test_small_differences_survive_many_tokens() -> None:
    """The sum is kept in double precision: a loss of a million equal tokens is that of one, to nine digits."""
    model = Toy()
    stream = np.zeros(2**18 + 1, dtype="<u2")
    whole = loss_of(model, windows(stream, 1024), 64).loss
    assert whole == pytest.approx(loss_of(model, windows(stream[:1025], 1024), 1).loss, rel=1e-9)
