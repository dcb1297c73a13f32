"""What the preflight finds in an edited script, on the real training script with one thing changed."""

import json
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch

from harness.agent_traceback import agent_frames
from harness.preflight.builds import Builds, CheckFailed
from harness.profiles import load_profile, resolve

TEMPLATE = Path(__file__).parents[3] / "templates" / "custom_pretrain.py"

Make = Callable[..., Builds]

RETURN = "return self.resid_dropout(self.c_proj(y))"
PROJECTION = "self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)"


@pytest.fixture
def preflight(tmp_path: Path) -> Make:
    """Makes the checks of the template with a string of its attention replaced, at toy sizes."""
    torch.set_num_threads(1)
    sizes = {"block_size": "16", "n_layer": "2", "n_embd": "16"}

    def make(old: str = RETURN, new: str = RETURN, **overridden: str) -> Builds:
        text = TEMPLATE.read_text()
        assert text.count(old) >= 1
        (tmp_path / "source.py").write_text(text.replace(old, new, 1))
        config = resolve(load_profile("smoke"), seed=1, device="cpu", overridden={**sizes, **overridden})
        (tmp_path / "run.json").write_bytes(msgspec.json.encode(config))
        return Builds(tmp_path / "source.py", tmp_path / "run.json")

    return make


def test_the_untouched_script_passes_every_check(preflight: Make) -> None:
    """The template builds, learns, reloads and scores, and its parameters are counted without its positions."""
    builds = preflight()
    builds.run_all()
    assert [check.name for check in builds.checks] == [
        *("imports", "settings", "builds", "forward", "backward", "optimizer step", "reloads", "scores", "causal")
    ]
    matrices = 256 * 16 + 2 * 12 * 16 * 16
    assert builds.parameters == matrices + (2 * 2 + 1) * 16
    assert builds.warnings == []


def test_parameters_are_counted_at_the_size_of_the_profile(preflight: Make) -> None:
    """A model too large to be trained here is counted in full and checked at a small size."""
    builds = preflight(n_embd="1024", n_layer="24", n_head="16", vocab_size="50304", block_size="1024")
    builds.run_all()
    assert builds.parameters == 50304 * 1024 + 24 * 12 * 1024**2 + (2 * 24 + 1) * 1024
    assert "logits (2, 128, 256)" in builds.checks[3].detail


def test_a_model_that_computes_with_values_while_it_builds_is_counted_too(preflight: Make) -> None:
    """Numbers that code takes out of tensors in __init__ are no obstacle to counting."""
    for expression in ("torch.ones(2).sum().item()", "torch.ones(2).numpy().sum()"):
        builds = preflight(PROJECTION, f"{PROJECTION}; self.scale = float({expression})")
        builds.run_all()
        assert builds.parameters is not None


@pytest.mark.parametrize(
    ("old", "new", "check", "message"),
    [
        (RETURN, "return self.c_proj(y)[:, :-1]", "forward", r"attention of block 0 returns \(2, 15, 16\); it has to"),
        (RETURN, "return self.c_proj(y), None", "forward", r"attention of block 0 returns a tuple; it has to"),
        (RETURN, "return self.c_proj(y) * float('nan')", "forward", "the loss of an untrained model is nan"),
        (RETURN, "return torch.sqrt(self.c_proj(y) * 0)", "backward", "the gradient of .* is not finite"),
        (
            RETURN,
            "self.late = getattr(self, 'late', nn.Parameter(torch.ones(C)))\n        return self.c_proj(y) * self.late",
            "forward",
            r"forward creates blocks\.0\.attn\.late, blocks\.1\.attn\.late; the optimizer",
        ),
        (
            RETURN,
            "self.calls = getattr(self, 'calls', 0) + 1\n        return self.c_proj(y) * (1 + 9 * self.calls)",
            "reloads",
            "a second model with the same weights gives other logits",
        ),
        (RETURN, "return F.dropout(self.c_proj(y) * 50, 0.5)", "reloads", "let evaluation be deterministic"),
        (RETURN, "return self.c_proj(y) / self.training", "reloads", "gives other logits"),
        (
            "logits, None if targets is None",
            "logits[..., :200], None if targets is None",
            "forward",
            r"the logits have the shape \(2, 16, 200\); it has to be \(B, T, V\) = \(2, 16, 256\)",
        ),
    ],
)
def test_a_model_that_no_test_could_use_is_found(preflight: Make, old: str, new: str, check: str, message: str) -> None:
    """Shapes, numbers, late parameters and hidden state that would spoil a test are named at the check they fail."""
    builds = preflight(old, new)
    with pytest.raises(CheckFailed, match=message):
        builds.run_all()
    assert builds.current == check
    assert check not in [passed.name for passed in builds.checks]


@pytest.mark.parametrize(
    ("old", "new", "check", "error", "code"),
    [
        (RETURN, "return self.c_prj(y)", "forward", AttributeError, "return self.c_prj(y)"),
        (PROJECTION, "self.c_proj = nn.Linaer(1, 1)", "builds", AttributeError, "self.c_proj = nn.Linaer(1, 1)"),
        (
            "@dataclass\nclass GPTConfig",
            "import no_such_module\n\n@dataclass\nclass GPTConfig",
            "imports",
            ImportError,
            "",
        ),
        ("CONFIG_OVERRIDES = {}", "CONFIG_OVERRIDES = 1 / 0", "settings", ZeroDivisionError, ""),
        (RETURN, "y.numel_()", "forward", AttributeError, "y.numel_()"),
        (RETURN, "return self.forward(x)", "forward", RecursionError, ""),
    ],
)
def test_what_the_script_raises_passes_through(
    preflight: Make, old: str, new: str, check: str, error: type[Exception], code: str
) -> None:
    """An exception of the agent's code keeps its type and its line of the script."""
    builds = preflight(old, new)
    with pytest.raises(error) as raised:
        builds.run_all()
    assert builds.current == check
    text = "".join(traceback.format_exception(raised.value))
    frames = agent_frames(text, builds.source)
    lines = builds.source.read_text().splitlines()
    assert frames
    assert all(lines[frame.line - 1].strip() == frame.code for frame in frames)
    assert frames[-1].code == (code or frames[-1].code)


def test_weights_without_gradient_are_a_warning(preflight: Make) -> None:
    """A parameter that nothing uses is said, and stops nothing; positions that are switched off are no such case."""
    builds = preflight(PROJECTION, f"{PROJECTION}; self.idle = nn.Parameter(torch.ones(3))")
    builds.run_all()
    assert builds.warnings == ["no gradient reaches blocks.0.attn.idle, blocks.1.attn.idle"]
    builds = preflight("self.use_pos_emb = True", "self.use_pos_emb = False")
    builds.run_all()
    assert builds.warnings == []


def test_the_preflight_leaves_the_settings_file_alone(preflight: Make) -> None:
    """The small sizes are the preflight's own; the run config on disk stays what the training will read."""
    builds = preflight(n_embd="1024", n_head="16")
    builds.run_all()
    assert json.loads(builds.run.read_text())["n_embd"] == 1024


def test_a_script_of_another_shape_is_named_as_such(tmp_path: Path) -> None:
    """A task may bring a script that this harness cannot build: the check says so, and does not blame the agent."""
    (tmp_path / "source.py").write_text("def solve():\n    return 1\n")
    with pytest.raises(CheckFailed, match="defines no load_settings, build_model, GPT"):
        Builds(tmp_path / "source.py", tmp_path / "run.json").run_all()
