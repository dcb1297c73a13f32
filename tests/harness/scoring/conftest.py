"""A toy language model of the template's shape, trained for a second on made-up texts, and these texts."""

import random
from pathlib import Path

import pytest
import torch

from harness.data.bpe_training import train_bpe
from harness.scoring.language_model import LanguageModel
from harness.script import load_script

SCRIPT = Path(__file__).parents[3] / "templates" / "custom_pretrain.py"
WORDS = [
    "the",
    "river",
    "bends",
    "where",
    "old",
    "stones",
    "lie",
    "and",
    "nobody",
    "counts",
    "them",
    "before",
    "winter",
]


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """Forty made-up sentences of 8 to 60 words."""
    dice = random.Random(3)
    return [" ".join(dice.choices(WORDS, k=dice.randrange(8, 60))).capitalize() for _ in range(40)]


@pytest.fixture(scope="session")
def toy(sentences: list[str], tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """Two layers of 32 channels with biases over 300 byte pairs; it sees 64 tokens and has seven rows to spare."""
    torch.set_num_threads(1)
    tokenizer = train_bpe(sentences, 300, tmp_path_factory.mktemp("bpe"))
    script = load_script(SCRIPT)
    sizes = {"block_size": 64, "vocab_size": tokenizer.vocab_size + 7, "n_layer": 2, "n_head": 2, "n_embd": 32}
    torch.manual_seed(0)
    model = script.GPT(script.GPTConfig(**sizes, bias=True))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    tokens = torch.from_numpy(tokenizer.encode(" ".join(sentences)).astype("int64"))
    windows_BT = tokens.unfold(0, 65, 16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        model(windows_BT[:, :-1], windows_BT[:, 1:])[1].backward()
        optimizer.step()
        optimizer.zero_grad()
    return LanguageModel(model.eval(), tokenizer, 64, "cpu", "float32", tokens_per_batch=256)
