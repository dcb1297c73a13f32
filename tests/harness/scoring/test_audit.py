"""What is asked again, and what the differences are taken for."""

import numpy as np
import pytest
import torch

from harness.scoring.audit import Again, Comparison, Differences, changed_inputs, plan
from harness.scoring.audited_loss import Windows, first_pass, second_pass
from harness.scoring.logits import NotScorable


def test_a_tenth_of_the_windows_is_repeated_and_a_tenth_probed() -> None:
    """Every window is scored once; the second process sees none twice, and each at places all over its length."""
    drawn = plan(1, 2000, 512, 8)
    assert sorted(drawn.order_W.tolist()) == list(range(2000))
    repeats = [ask for ask in drawn.again if ask.start == ask.length]
    probes = [ask for ask in drawn.again if ask.start < ask.length]
    assert (len(repeats), sum(ask.length == 512 for ask in probes)) == (200, 200)
    assert {ask.length for ask in drawn.again} == {32, 64, 128, 256, 512}
    assert len({ask.window for ask in drawn.again}) == len(drawn.again)
    assert all(1 <= ask.start < ask.length and ask.donor != ask.window for ask in probes)
    full = [ask.start for ask in probes if ask.length == 512]
    assert sum(start % 16 == 0 for start in full) > 200 / 16 * 2
    assert sum(start >= 504 for start in full) > 200 / 64 * 2
    assert sum(start < 256 for start in full) > 50
    assert [ask.start == ask.length for ask in drawn.again] != sorted(ask.start == ask.length for ask in drawn.again)


def test_equal_seeds_draw_equal_plans() -> None:
    """The seed in a report tells all that was drawn."""
    assert plan(5, 100, 64, 4).again == plan(5, 100, 64, 4).again != plan(6, 100, 64, 4).again


def test_a_probe_is_the_window_up_to_its_start_and_another_one_after() -> None:
    """What comes from the donor stands where it stood there; a lone window is followed by itself read backwards."""
    windows_WT = np.arange(20, dtype="<u2").reshape(2, 10)
    asks = [Again(0, 8, 3, 1), Again(1, 8, 8, 1), Again(0, 8, 6, 0)]
    assert changed_inputs(windows_WT, asks).tolist() == [
        [0, 1, 2, 13, 14, 15, 16, 17],
        [10, 11, 12, 13, 14, 15, 16, 17],
        [0, 1, 2, 3, 4, 5, 1, 0],
    ]


@pytest.mark.parametrize(("count", "block_size"), [(1, 8), (1, 1), (3, 1), (5, 40)])
def test_little_validation_text_is_audited_too(count: int, block_size: int) -> None:
    """One window, windows of one token: there is a plan, and an honest model passes it."""

    def bigrams(idx: torch.Tensor) -> tuple[torch.Tensor, None]:
        return torch.eye(16)[idx], None

    tokens_WT = np.random.default_rng(0).integers(16, size=(count, block_size + 1)).astype("<u2")
    windows = Windows(tokens_WT, plan(3, count, block_size, 4), 4, "cpu", "float32")
    loss, first = first_pass(bigrams, windows)
    found = second_pass(bigrams, windows, first).judge()
    assert loss.tokens == count * block_size
    assert (found.repeated, found.change_repeated, found.change_probed) == (count, 0, 0)


def compare(noise: float, gain: float, seed: int, probes: int = 64) -> Comparison:
    """Repeats without any change, and probes with noise everywhere and a gain at the last place before the change."""
    dice = torch.Generator().manual_seed(seed)
    found = Differences()
    for _ in range(probes):
        change_TK = torch.randn(200, 8, generator=dice) * noise
        change_TK[-1, 0] += gain
        found.add(change_TK, probed=True)
    return Comparison(0, Differences(), found, 20.0, "bfloat16")


def test_rounding_is_no_fault_and_a_small_gain_is() -> None:
    """Noise of bfloat16 passes whatever the seed; a fifth of a nat, gained from the next token alone, does not."""
    for seed in range(30):
        compare(noise=0.05, gain=0.0, seed=seed).judge()
        with pytest.raises(NotScorable, match="nats better with the true text") as caught:
            compare(noise=0.05, gain=0.2, seed=seed).judge()
        assert caught.value.reason == "not_causal"


def test_one_place_that_tells_the_next_token_is_enough() -> None:
    """A leak at a few places, such as the ends of chunks, is found by its size."""
    comparison = compare(noise=0.0, gain=0.0, seed=0)
    comparison.probes.changes[5][100] = 9.0
    with pytest.raises(NotScorable, match=r"0\.45 of the largest logit"):
        comparison.judge()


def test_logits_that_are_no_numbers_are_no_agreement() -> None:
    """A change that is NaN does not pass for none."""
    with pytest.raises(NotScorable):
        compare(noise=float("nan"), gain=0.0, seed=0).judge()
