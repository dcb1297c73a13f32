"""The parts of the training script that no task may edit: data, model, optimizer groups, schedule."""

import math
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from harness.script import load_script

TEMPLATE = Path(__file__).parents[2] / "templates" / "custom_pretrain.py"
SIZES = {"block_size": 16, "vocab_size": 64, "n_layer": 1, "n_head": 2, "n_embd": 16, "dropout": 0.0, "bias": False}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    return load_script(TEMPLATE)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files of tokens."""
    for name, count in (("one", 700), ("two", 261)):
        np.random.default_rng(count).integers(0, 64, count).astype("<u2").tofile(tmp_path / name)
    return [tmp_path / "one", tmp_path / "two"]


class TestTokenWindows:
    """Which text a step sees."""

    def places(self, windows: Any) -> list[tuple[int, ...]]:
        inputs, _ = windows.batch(0, 2 * windows.count, torch.device("cpu"))
        return [tuple(row.tolist()) for row in inputs]

    def test_each_window_comes_once_an_epoch(self, script: ModuleType, tmp_path: Path) -> None:
        """An epoch holds every window of every file once, none across files, and the next repeats it."""
        for count in range(1, 60):
            np.arange(4 * count + 1, dtype="<u2").tofile(tmp_path / "a.bin")
            np.arange(1000, 1011, dtype="<u2").tofile(tmp_path / "b.bin")  # two windows and two tokens too many
            windows = script.TokenWindows([tmp_path / "a.bin", tmp_path / "b.bin"], 4, seed=count)
            seen = self.places(windows)
            firsts = [4 * number for number in range(count)] + [1000, 1004]
            assert sorted(seen[: count + 2]) == [tuple(range(first, first + 4)) for first in firsts]
            assert seen[: count + 2] == seen[count + 2 :]

    def test_targets_are_the_next_tokens(self, script: ModuleType, files: list[Path]) -> None:
        """The target at each position is the token after its input."""
        windows = script.TokenWindows(files, 16, seed=0)
        inputs, targets = windows.batch(0, windows.count, torch.device("cpu"))
        assert torch.equal(inputs[:, 1:], targets[:, :-1])
        last = np.fromfile(files[1], "<u2")[16 * 16]
        assert any(row[-1] == last for row in targets.tolist())

    def test_any_share_of_a_step_sees_the_same_text(self, script: ModuleType, files: list[Path]) -> None:
        """Batches taken one by one, far ahead or all at once hold the same windows; another seed orders them anew."""
        cpu = torch.device("cpu")
        windows, other = (script.TokenWindows(files, 16, seed) for seed in (0, 1))
        whole = windows.batch(40, 8, cpu)[0]
        assert torch.equal(torch.cat([windows.batch(40 + 2 * number, 2, cpu)[0] for number in range(4)]), whole)
        assert not torch.equal(other.batch(40, 8, cpu)[0], whole)
        far = 10**12
        assert torch.equal(windows.batch(far * windows.count + 40, 8, cpu)[0], whole)

    def test_a_file_without_a_window_is_refused(self, script: ModuleType, tmp_path: Path) -> None:
        """Fewer tokens than one window and its last target are an error that names the file."""
        np.arange(16, dtype="<u2").tofile(tmp_path / "short.bin")
        with pytest.raises(ValueError, match=r"short\.bin.* hold no window of 17 tokens"):
            script.TokenWindows([str(tmp_path / "short.bin")], 16, seed=0)


class TestModel:
    """The parts that no task may edit, and what they promise a region."""

    @pytest.fixture
    def model(self, script: ModuleType) -> Any:
        torch.manual_seed(0)
        return script.GPT(script.GPTConfig(**{**SIZES, "n_layer": 2, "bias": True})).eval()

    def test_logits_and_loss(self, model: Any) -> None:
        """Logits have the shape (B, T, vocab_size), see no later token, and the loss is their mean cross-entropy."""
        idx = torch.randint(64, (3, 17))
        logits, loss = model(idx[:, :-1], idx[:, 1:])
        assert logits.shape == (3, 16, 64)
        picked = torch.log_softmax(logits, -1).gather(-1, idx[:, 1:, None])
        assert loss.item() == pytest.approx(-picked.mean().item())
        changed = idx[:, :-1].clone()
        changed[:, 9] = (changed[:, 9] + 1) % 64
        again, nothing = model(changed)
        assert nothing is None
        assert torch.allclose(again[:, :9], logits[:, :9], atol=1e-6)
        assert not torch.allclose(again[:, 9:], logits[:, 9:], atol=1e-3)

    def test_weight_decay_acts_on_matrices_alone(self, model: Any) -> None:
        """Every weight is in one group, those of two dimensions or more decay, and frozen ones are left out."""
        model.embedding.wpe.weight.requires_grad_(False)
        optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.95), "cpu")
        decayed, others = ([id(weight) for weight in group["params"]] for group in optimizer.param_groups)
        assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
        names = {id(weight): name for name, weight in model.named_parameters()}
        assert len(decayed) + len(others) == len(names) - 1
        assert {names[key].rpartition(".")[2] for key in decayed} == {"weight"}
        assert all("ln_" in names[key] or names[key].endswith("bias") for key in others)

    def test_the_output_head_is_the_embedding(self, model: Any) -> None:
        """Token embedding and head are one matrix, stored once."""
        assert model.embedding.get_lm_head_weight() is model.embedding.wte.weight
        assert sum("wte" in name for name in model.state_dict()) == 1

    def test_projections_into_the_stream_start_smaller(self, script: ModuleType) -> None:
        """The two maps of a block that add to the stream begin with a spread of 0.02 / sqrt(2 layers)."""
        model = script.GPT(script.GPTConfig(**{**SIZES, "n_layer": 8, "n_embd": 64}))
        block = model.blocks[0]
        assert block.mlp.c_proj.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
        assert block.mlp.c_fc.weight.std().item() == pytest.approx(0.02, rel=0.05)

    def test_positions_can_be_switched_off(self, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where an attention sets use_pos_emb to False, the learned positions change no logit and get no gradient."""

        class WithoutPositions(script.CausalSelfAttention):  # type: ignore[misc, name-defined]
            def __init__(self, config: Any):
                super().__init__(config)
                self.use_pos_emb = False

        idx = torch.randint(64, (2, 17))
        for attention, positions in ((WithoutPositions, False), (script.CausalSelfAttention, True)):
            monkeypatch.setattr(script, "CausalSelfAttention", attention)
            model = script.GPT(script.GPTConfig(**SIZES))
            logits, loss = model(idx[:, :-1], idx[:, 1:])
            loss.backward()
            assert (model.embedding.wpe.weight.grad is not None) == positions
            torch.nn.init.normal_(model.embedding.wpe.weight)
            assert torch.equal(model(idx[:, :-1])[0], logits) != positions

    def test_value_embeddings_come_on_top_of_the_stream(self, model: Any) -> None:
        """What get_value_embed gives for a layer is added to that block's input; None adds nothing."""
        idx, seen = torch.randint(64, (2, 16)), {}
        value = torch.randn(2, 16, 16)
        model.embedding.get_value_embed = lambda layer: value if layer == 1 else None
        model.blocks[0].register_forward_hook(lambda _module, _inputs, y: seen.update(before=y))
        model.blocks[1].register_forward_pre_hook(lambda _module, inputs: seen.update(after=inputs[0]))
        model(idx)
        assert torch.equal(seen["after"], seen["before"] + value)

    def test_heads_must_divide_the_channels(self, script: ModuleType) -> None:
        """A width that the heads cannot share is refused in words."""
        with pytest.raises(ValueError, match="n_embd=16 is not a multiple of n_head=3"):
            script.GPT(script.GPTConfig(**{**SIZES, "n_head": 3}))

    def test_attention_is_softmax_attention(self, script: ModuleType) -> None:
        """The template's attention is that of its formula, written out."""
        torch.manual_seed(0)
        attention = script.CausalSelfAttention(SimpleNamespace(**SIZES)).eval()
        x_BTC = torch.randn(2, 16, 16)
        q, k, v = (part.view(2, 16, 2, 8) for part in F.linear(x_BTC, attention.c_attn.weight).split(16, dim=2))
        scores_BHTS = torch.einsum("bthd,bshd->bhts", q, k) / math.sqrt(8)
        weights = scores_BHTS.masked_fill(torch.ones(16, 16).triu(1).bool(), -math.inf).softmax(-1)
        y_BTC = torch.einsum("bhts,bshd->bthd", weights, v).reshape(2, 16, 16)
        assert torch.allclose(attention(x_BTC), F.linear(y_BTC, attention.c_proj.weight), atol=1e-5)


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.2), (3, 0.8), (4, 1.0), (9, 0.55), (14, 0.1), (15, 0.1), (10_000, 0.1)]
)
def test_the_learning_rate_of_a_step(script: ModuleType, step: int, rate: float) -> None:
    """Four steps of warm-up from a fifth, half a cosine over ten, then the lowest rate."""
    settings = SimpleNamespace(learning_rate=1.0, min_lr=0.1, warmup_iters=4, lr_decay_iters=14)
    assert script.get_lr(step, settings) == pytest.approx(rate)


def test_the_learning_rate_without_warm_up_or_decay(script: ModuleType) -> None:
    """No warm-up begins at the highest rate; a decay that ends with the warm-up is a step down."""
    settings = SimpleNamespace(learning_rate=1.0, min_lr=0.1, warmup_iters=0, lr_decay_iters=10)
    assert script.get_lr(0, settings) == 1.0
    settings = SimpleNamespace(learning_rate=1.0, min_lr=0.1, warmup_iters=4, lr_decay_iters=4)
    assert script.get_lr(4, settings) == 0.1


class TestPrecision:
    """What is computed in which precision under bf16 autocast."""

    @pytest.fixture
    def seen(self, script: ModuleType) -> dict[str, torch.dtype]:
        """The dtypes inside a model under bf16 autocast, and of the gradient of a norm's gain."""
        torch.manual_seed(0)
        model, seen = script.GPT(script.GPTConfig(**SIZES)), {}
        block = model.blocks[0]
        block.register_forward_hook(lambda _module, inputs, y: seen.update(stream=inputs[0].dtype, after=y.dtype))
        block.ln_1.register_forward_hook(lambda _module, _inputs, y: seen.update(norm=y.dtype))
        idx = torch.randint(64, (2, 17))
        with torch.autocast("cpu", torch.bfloat16):
            logits, loss = model(idx[:, :-1], idx[:, 1:])
        loss.backward()
        return {**seen, "logits": logits.dtype, "loss": loss.dtype, "gain": block.ln_1.weight.grad.dtype}

    def test_what_is_summed_up_stays_exact(self, seen: dict[str, torch.dtype]) -> None:
        """The loss and the weights' gradients are fp32; the residual stream, norms and logits come in bf16."""
        exact = {name for name, dtype in seen.items() if dtype == torch.float32}
        assert exact == {"loss", "gain"}
        assert {seen[name] for name in seen.keys() - exact} == {torch.bfloat16}
