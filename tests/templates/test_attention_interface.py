"""What every drop-in attention promises to the script around it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.parameters import splice
from harness.script import define_script

TEMPLATES = Path(__file__).parents[2] / "templates"
KEYS = sorted(path.stem for path in (TEMPLATES / "attention").glob("*.py"))
# block sizes small enough that a toy sequence has several blocks and leaves some out
SMALL = {"sparse": {"block": 8}, "nsa": {"block": 8, "n_selected": 3, "window": 16}, "based": {"window": 16}}
DOCUMENTED = (
    "mha mqa gqa local linear sparse mla based gla deltanet gated_deltanet gated_deltaproduct retnet hgrn2 mamba2 "
    "rwkv7 nsa hybrid"
)
Build = Callable[..., nn.Module]


def test_the_library_is_complete() -> None:
    """There is one file for each mechanism that the documentation names."""
    assert sorted(DOCUMENTED.split()) == KEYS


@pytest.mark.parametrize("key", KEYS)
def test_trains_every_weight(build: Build, key: str) -> None:
    """The output has the input's shape, and every weight gets a finite gradient that is not zero."""
    module = build(key, **SMALL.get(key, {})).train()
    x_BTC = torch.randn(2, 70, 32)
    y_BTC = module(x_BTC)
    assert y_BTC.shape == x_BTC.shape
    y_BTC.square().sum().backward()
    for name, weight in module.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


@pytest.mark.parametrize("key", KEYS)
def test_no_token_changes_an_output_before_it(build: Build, key: str) -> None:
    """At any length, an output is the same whatever the later tokens are, and whether or not there are any."""
    module = build(key, **SMALL.get(key, {}))
    T = 130
    x_BTC = torch.randn(1, T, 32).repeat(T + 1, 1, 1)
    for t in range(T):
        x_BTC[t, t] = torch.randn(32)
    with torch.no_grad():
        y_BTC = module(x_BTC)
        changed_TT = (y_BTC[:T] - y_BTC[T]).abs().amax(dim=2)
        earlier_TT = torch.ones(T, T, dtype=torch.bool).tril(-1)
        assert changed_TT[earlier_TT].max() < 1e-5
        assert changed_TT.diagonal().min() > 1e-4
        for length in range(1, T):
            assert torch.allclose(module(x_BTC[T:, :length]), y_BTC[T:, :length], atol=2e-6), length


@pytest.mark.parametrize("key", KEYS)
def test_the_seed_decides_weights_and_outputs(build: Build, key: str) -> None:
    """Two builds from the same seed give the same output to the bit."""
    x_BTC = torch.randn(2, 70, 32)
    first, second = build(key), build(key)
    assert torch.equal(first(x_BTC), second(x_BTC))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("n_head", "n_embd"), [(1, 16), (3, 48), (4, 64)])
def test_other_widths_build(build: Build, key: str, n_head: int, n_embd: int) -> None:
    """One head, an odd number of heads and more heads than two work as well, with biases in the linear maps."""
    module = build(key, sizes={"n_head": n_head, "n_embd": n_embd, "bias": True})
    assert module(torch.randn(1, 9, n_embd)).isfinite().all()


@pytest.mark.parametrize("key", KEYS)
def test_drops_into_the_script(key: str) -> None:
    """In the script the first loss is that of a uniform guess, gradients are finite, and positions fit the facts."""
    template = (TEMPLATES / "custom_pretrain.py").read_text(encoding="utf-8")
    region = (TEMPLATES / "attention" / f"{key}.py").read_text(encoding="utf-8")
    script = define_script(splice(template, region, 33, 70), f"script_{key}")
    torch.manual_seed(0)
    model = script.GPT(script.GPTConfig(block_size=64, vocab_size=61, n_layer=2, n_head=2, n_embd=32))
    tokens_BT = torch.randint(61, (2, 41))
    _, loss = model(tokens_BT[:, :-1], tokens_BT[:, 1:])
    assert abs(loss.item() - torch.tensor(61.0).log().item()) < 0.1
    loss.backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)
    encodes_order = "order: its own" in region or "order: rotary" in region
    assert model.embedding.use_pos_emb is not encodes_order
