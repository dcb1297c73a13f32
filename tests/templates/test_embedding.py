"""The drop-in embeddings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.parameters import splice
from harness.script import define_script

TEMPLATES = Path(__file__).parents[2] / "templates"
KEYS = ("bigram_hash", "untied", "value_embed")
Build = Callable[..., Any]


@pytest.fixture
def tokens_BT() -> torch.Tensor:
    return torch.randint(61, (2, 20), generator=torch.Generator().manual_seed(2))


def test_the_library_is_complete() -> None:
    """There is one file for each baseline of the embedding task."""
    assert sorted(path.stem for path in (TEMPLATES / "embedding").glob("*.py")) == sorted(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_keeps_the_interface(build_embedding: Build, tokens_BT: torch.Tensor, key: str) -> None:
    """The stream, the head and what layers get have the model's shapes, and positions can be switched off."""
    embedding = build_embedding(key)
    x_BTC = embedding(tokens_BT)
    assert x_BTC.shape == (2, 20, 32)
    assert embedding.get_lm_head_weight().shape == (61, 32)
    assert embedding.get_num_pos_params() == 256 * 32
    for layer in range(3):
        value = embedding.get_value_embed(layer)
        assert value is None or value.shape == (2, 20, 32)
    embedding.use_pos_emb = False
    assert torch.equal(embedding(tokens_BT), embedding.wte(tokens_BT))
    assert torch.allclose(x_BTC, embedding(tokens_BT) + embedding.wpe.weight[:20])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("n_layer", [1, 2, 4, 24])
def test_drops_into_the_script(tokens_BT: torch.Tensor, key: str, n_layer: int) -> None:
    """At any depth the model starts near a uniform guess, trains, and no logit depends on a later token."""
    template = (TEMPLATES / "custom_pretrain.py").read_text(encoding="utf-8")
    region = (TEMPLATES / "embedding" / f"{key}.py").read_text(encoding="utf-8")
    script = define_script(splice(template, region, 116, 140), f"script_{key}")
    torch.manual_seed(0)
    model = script.GPT(script.GPTConfig(block_size=32, vocab_size=61, n_layer=n_layer, n_head=2, n_embd=32))
    logits, loss = model(tokens_BT, tokens_BT.roll(-1, 1))
    assert abs(loss.item() - torch.tensor(61.0).log().item()) < 0.1
    loss.backward()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    logits, _ = model(tokens_BT)
    changed = tokens_BT.clone()
    changed[:, 12] = (changed[:, 12] + 1) % 61
    changed_logits, _ = model(changed)
    assert torch.equal(logits[:, :12], changed_logits[:, :12])
    assert not torch.equal(logits[:, 12:], changed_logits[:, 12:])


def test_the_untied_head_starts_at_zero(build_embedding: Build) -> None:
    """The head is a weight of its own, and predicts uniformly before training."""
    embedding = build_embedding("untied")
    assert embedding.get_lm_head_weight() is not embedding.wte.weight
    assert not embedding.get_lm_head_weight().any()


@pytest.mark.parametrize(("n_layer", "layers"), [(1, [0]), (3, [0, 1, 2]), (4, [1, 2, 3]), (8, [1, 2, 5, 6, 7])])
def test_value_tables_serve_early_and_last_layers(
    build_embedding: Build, tokens_BT: torch.Tensor, n_layer: int, layers: list[int]
) -> None:
    """Layers 1 and 2 and the last three, as far as there are such, read a small table each, scaled by one half."""
    embedding = build_embedding("value_embed", n_layer=n_layer)
    embedding(tokens_BT)
    assert len(embedding.tables) == len(layers)
    read = {layer: embedding.get_value_embed(layer) for layer in range(n_layer)}
    assert [layer for layer, value in read.items() if value is not None] == layers
    for layer, table_VC in zip(layers, embedding.tables, strict=True):
        assert 0.009 < table_VC.std().item() < 0.011
        assert torch.equal(read[layer], 0.5 * table_VC[tokens_BT])


def test_bigrams_are_hashed_pairs(build_embedding: Build, tokens_BT: torch.Tensor) -> None:
    """Every layer adds, scaled, the row of (factor current) xor (factor previous); the first token has the last row."""
    embedding = build_embedding("bigram_hash")
    torch.nn.init.normal_(embedding.bigrams)
    torch.nn.init.normal_(embedding.scales)
    embedding(tokens_BT)
    for layer in range(3):
        value_BTC = embedding.get_value_embed(layer)
        for b in range(2):
            for t in range(20):
                current, previous = int(tokens_BT[b, t]), int(tokens_BT[b, t - 1])
                row = ((36313 * current) ^ (27191 * previous)) % (5 * 61 - 1) if t else 5 * 61 - 1
                assert torch.equal(value_BTC[b, t], embedding.scales[layer] * embedding.bigrams[row])
