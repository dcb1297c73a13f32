"""The network's forward pass, fused where nobody edited it: toy networks with the script's own forwards."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.fused import model
from harness.script import load_script

TEMPLATE = Path(__file__).parents[3] / "templates" / "custom_pretrain.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The shipped script, whose classes these tests only read."""
    return load_script(TEMPLATE)


def network_of(script: ModuleType, device: str, block: Any = None, **changes: Any) -> Any:
    """A network of three layers of the script, or of blocks of another class."""
    sizes = {"block_size": 16, "vocab_size": 64, "n_layer": 3, "n_head": 2, "n_embd": 32, "bias": True, **changes}
    torch.manual_seed(0)
    network = script.GPT(script.GPTConfig(**sizes))
    for at in range(len(network.blocks)):
        network.blocks[at] = network.blocks[at] if block is None else block(network.config)
    return network.to(device)


def results(network: Any, device: str) -> list[Tensor]:
    """Loss and gradients of one batch in bf16."""
    network.zero_grad()
    idx = torch.arange(32, device=device).view(2, 16)
    with torch.autocast(device, torch.bfloat16):
        loss = network(idx, idx)[1]
    loss.backward()
    return [loss.detach(), *(weight.grad.clone() for weight in network.parameters() if weight.grad is not None)]


def is_fused(network: Any) -> bool:
    return "forward" in vars(network)


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= 2e-2 * other.norm().clamp(min=1e-2)


def test_the_shipped_script_is_fused(script: ModuleType, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its network has the same loss and gradients fused, and calls no block and no norm by itself."""
    network = network_of(script, device)
    before = results(network, device)
    model.fuse(network, script.Block, script.LayerNorm)
    for kind in (script.Block, script.LayerNorm):
        monkeypatch.setattr(kind, "forward", None)
    assert_same(results(network, device), before)


def test_value_embeddings_are_added(script: ModuleType, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a layer gets on top of the stream is added where it was, whatever its precision."""
    value = torch.randn(2, 16, 32, device=device)
    monkeypatch.setattr(script.TokenEmbedding, "get_value_embed", lambda self, layer: None if layer == 1 else value)
    network = network_of(script, device)
    before = results(network, device)
    model.fuse(network, script.Block, script.LayerNorm)
    assert_same(results(network, device), before)


def edits(script: ModuleType) -> dict[str, Callable[[Any], Any]]:
    """Blocks that agents may write, by what is edited."""

    class Turned(script.Block):  # type: ignore[misc, name-defined]
        def forward(self, x: Tensor) -> Tensor:
            x = x + self.mlp(self.ln_2(x))
            x = x + self.attn(self.ln_1(x))
            return x  # noqa: RET504

    class OtherNorm(script.Block):  # type: ignore[misc, name-defined]
        def __init__(self, config: Any):
            super().__init__(config)
            self.ln_1 = nn.RMSNorm(config.n_embd)

    class Parallel(nn.Module):
        def __init__(self, config: Any):
            super().__init__()
            self.norm = script.LayerNorm(config.n_embd, config.bias)
            self.attn, self.mlp = script.CausalSelfAttention(config), script.MLP(config)

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm(x)
            return x + self.attn(y) + self.mlp(y)  # type: ignore[no-any-return]

    class Hooked(script.Block):  # type: ignore[misc, name-defined]
        def __init__(self, config: Any):
            super().__init__(config)
            self.register_forward_hook(lambda module, inputs, output: output * 0.5)

    class HookedNorm(script.Block):  # type: ignore[misc, name-defined]
        def __init__(self, config: Any):
            super().__init__(config)
            self.ln_2.register_forward_hook(lambda module, inputs, output: output * 0.5)

    class OwnForward(script.Block):  # type: ignore[misc, name-defined]
        def __init__(self, config: Any):
            super().__init__(config)
            self.ln_1.forward = lambda x: x * 0.5

    class Called(script.Block):  # type: ignore[misc, name-defined]
        def __call__(self, x: Tensor) -> Tensor:
            return super().__call__(x) * 0.5  # type: ignore[no-any-return]

    class NumberForBranch(script.Block):  # type: ignore[misc, name-defined]
        def __init__(self, config: Any):
            super().__init__(config)
            self.mlp = nn.Module()
            self.mlp.forward = lambda x: 0.5

    class NoFunction(script.Block):  # type: ignore[misc, name-defined]
        forward = partial(lambda x: x * 2)

    made = (Turned, OtherNorm, Parallel, Hooked, HookedNorm, OwnForward, Called, NumberForBranch, NoFunction)
    assert len(made) == len(EDITS)
    return {each.__name__: each for each in made}


EDITS = [
    "Turned",
    "OtherNorm",
    "Parallel",
    "Hooked",
    "HookedNorm",
    "OwnForward",
    "Called",
    "NumberForBranch",
    "NoFunction",
]


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight:UserWarning")  # of RMSNorm
def test_an_edited_block_runs_as_it_is_written(script: ModuleType, device: str, edit: str) -> None:
    """Other instructions, norms or names, hooks, a forward or a call of its own: all is done that the edit says."""
    block = edits(script)[edit]
    network = network_of(script, device, block)
    before = results(network, device)
    model.fuse(network, block, script.LayerNorm)
    assert is_fused(network)
    assert_same(results(network, device), before)


def test_a_block_that_is_no_class_is_called(script: ModuleType) -> None:
    """A function that makes blocks will do, and so will one block for all layers."""
    for block in (lambda config: script.Block(config), script.Block(script.GPTConfig(n_embd=32, n_head=2))):
        network = network_of(script, "cpu")
        before = results(network, "cpu")
        model.fuse(network, block, script.LayerNorm)
        assert_same(results(network, "cpu"), before)


def test_an_edited_network_is_left_alone(script: ModuleType) -> None:
    """A task may let its agents write another forward pass."""

    class Edited(script.GPT):  # type: ignore[misc, name-defined]
        def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
            return super().forward(idx, targets)

    network = Edited(script.GPTConfig(block_size=16, vocab_size=64, n_layer=1, n_head=2, n_embd=32))
    model.fuse(network, script.Block, script.LayerNorm)
    assert not is_fused(network)


def test_a_network_of_other_norms_is_left_alone(script: ModuleType) -> None:
    """A task may let its agents write another norm under the script's name."""

    class LayerNorm(script.LayerNorm):  # type: ignore[misc, name-defined]
        def forward(self, x: Tensor) -> Tensor:
            return x * self.weight  # type: ignore[no-any-return]

    network = network_of(script, "cpu")
    for norm in (LayerNorm, nn.RMSNorm, lambda width, bias: script.LayerNorm(width, bias)):
        model.fuse(network, script.Block, norm)  # type: ignore[arg-type]
        assert not is_fused(network)


def test_mechanisms_are_found_once() -> None:
    """Layers may share one mechanism, and a block may have none."""
    shared, other = nn.Identity(), nn.Identity()
    blocks = [SimpleNamespace(attn=each) for each in (shared, other, shared, None)] + [SimpleNamespace()]
    assert list(model.mechanisms(SimpleNamespace(blocks=blocks))) == [shared, other]
    assert list(model.mechanisms(SimpleNamespace())) == []
