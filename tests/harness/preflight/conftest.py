"""The training script with one thing changed, as the checks see it, at toy sizes."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch

from harness.parameters import splice
from harness.preflight.preflight import Preflight
from harness.preflight.report import ONE_PROCESS, Request, Room, Rules
from harness.preflight.subject import Subject
from harness.profiles import load_profile, resolve
from harness.script import define_script

TEMPLATES = Path(__file__).parents[3] / "templates"
TOY = {"block_size": "96", "n_layer": "2", "n_embd": "32"}
TASK = Rules(causal=True, exponent=1.4)
"""What the linear-attention task asks, parameters aside."""


# FLA and the torch modules that it loads warn on import, and of fp32 in GPU kernels that do not run here
FOREIGN_WARNINGS = (
    "ignore:`torch.jit.script:DeprecationWarning",
    "ignore:ChunkDeltaRuleFunction does not support float32",
    "ignore:Triton is not supported on current platform",
    "ignore:Flash Attention is not installed",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    for warning in FOREIGN_WARNINGS:
        item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Toy sizes gain nothing from more, and lose where several test processes share the cores."""
    torch.set_num_threads(1)


@pytest.fixture
def script_text() -> Callable[..., str]:
    """script_text(key, (old, new), ...): the template with a drop-in attention, None for its own, and replacements."""

    def make(key: str | None, *changes: tuple[str, str]) -> str:
        text = (TEMPLATES / "custom_pretrain.py").read_text()
        if key is not None:
            text = splice(text, (TEMPLATES / "attention" / f"{key}.py").read_text(), 33, 70)
            if "from fla" in text and not torch.cuda.is_available():
                from harness.fla_cpu import install

                install()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, 1)
        return text

    return make


@pytest.fixture
def preflight(tmp_path: Path, script_text: Callable[..., str]) -> Callable[..., Preflight]:
    """preflight(key, (old, new), ..., rules=, room=, **sizes): the checks of such a script."""

    def make(
        key: str | None, *changes: tuple[str, str], rules: Rules = TASK, room: Room = ONE_PROCESS, **sizes: str
    ) -> Preflight:
        source, run = tmp_path / "source.py", tmp_path / "run.json"
        source.write_text(script_text(key, *changes))
        config = resolve(load_profile("smoke"), seed=1, device="cpu", overridden={**TOY, **sizes})
        run.write_bytes(msgspec.json.encode(config))
        return Preflight(Request(str(source), str(run), rules, room))

    return make


@pytest.fixture
def subject(script_text: Callable[..., str]) -> Callable[..., Subject]:
    """subject(key, (old, new), ..., **sizes): such a script and settings, as a single check sees them."""

    def make(key: str | None, *changes: tuple[str, str], **sizes: Any) -> Subject:
        config = msgspec.to_builtins(resolve(load_profile("smoke"), seed=1, device="cpu"))
        settings = SimpleNamespace(**{**config, "block_size": 96, "n_layer": 2, "n_embd": 32, **sizes})
        return Subject(define_script(script_text(key, *changes), "toy"), settings)

    return make
