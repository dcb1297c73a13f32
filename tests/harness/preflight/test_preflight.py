"""The checks in their order, on the real training script with one thing changed."""

import json
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.agent_traceback import agent_frames
from harness.preflight.found import CheckFailed
from harness.preflight.preflight import Preflight
from harness.preflight.report import Request, Rules

Make = Callable[..., Preflight]

RETURN = "return self.resid_dropout(self.c_proj(y))"
PROJECTION = "self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)"
ANY = Rules(causal=True)
"""Of a task that leaves the cost open."""


def test_the_untouched_script_passes_every_check(preflight: Make) -> None:
    """The template builds, learns, reloads, scores and fits, and each check has its number."""
    checks = preflight(None, rules=ANY, block_size="16", n_embd="16")
    checks.run_all()
    assert [check.name for check in checks.checks] == [
        *("imports", "settings", "builds", "parameters", "forward", "backward", "optimizer step", "reloads", "scores"),
        *("causal", "fits"),
    ]
    assert checks.size is not None
    assert checks.size.without_positions == 256 * 16 + 2 * 12 * 16 * 16 + (2 * 2 + 1) * 16
    assert checks.size.all == checks.size.without_positions + 16 * 16
    assert checks.size.buffers == 0
    assert checks.warnings == []
    assert all(any(letter.isdigit() for letter in check.detail) for check in checks.checks[1:])


def test_a_large_profile_is_checked_at_a_small_size(preflight: Make) -> None:
    """A model too large to be trained here is counted in full and looked at with few layers and tokens."""
    sizes = {"n_embd": "1024", "n_layer": "24", "n_head": "16", "vocab_size": "50304", "block_size": "1024"}
    checks = preflight(None, rules=Rules(causal=False), **sizes)
    subject = checks._open()
    step = checks._build(subject)
    assert checks.size is not None
    assert checks.size.without_positions == 50304 * 1024 + 24 * 12 * 1024**2 + (2 * 24 + 1) * 1024
    assert "logits (2, 128, 256)" in step.forward().detail
    assert (subject.long.block_size, subject.long.n_layer) == (1024, 2)


@pytest.mark.parametrize(
    ("old", "new", "check", "message"),
    [
        (RETURN, "return self.c_proj(y)[:, :-1]", "forward", r"attention of block 0 returns \(2, 95, 32\); it has to"),
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
            "self.late = getattr(self, 'late', [nn.Linear(C, C)])\n        return self.late[0](self.c_proj(y))",
            "forward",
            r"the loss depends on weights of the shapes .*\(32, 32\).* that are no parameters of the model",
        ),
        (
            PROJECTION,
            f"{PROJECTION}; self.late = nn.UninitializedParameter()",
            "builds",
            "have no size before the first forward",
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
            r"the logits have the shape \(2, 96, 200\); it has to be \(B, T, V\) = \(2, 96, 256\)",
        ),
    ],
)
def test_a_model_that_no_test_could_use_is_found(preflight: Make, old: str, new: str, check: str, message: str) -> None:
    """Shapes, numbers, late parameters and hidden state that would spoil a test are named at the check they fail."""
    checks = preflight(None, (old, new))
    with pytest.raises(CheckFailed, match=message):
        checks.run_all()
    assert checks.current == check
    assert check not in [passed.name for passed in checks.checks]


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
    checks = preflight(None, (old, new))
    with pytest.raises(error) as raised:
        checks.run_all()
    assert checks.current == check
    text = "".join(traceback.format_exception(raised.value))
    source = Path(checks.request.source)
    frames = agent_frames(text, source)
    lines = source.read_text().splitlines()
    assert frames
    assert all(lines[frame.line - 1].strip() == frame.code for frame in frames)
    assert frames[-1].code == (code or frames[-1].code)


def test_weights_without_gradient_are_a_warning(preflight: Make) -> None:
    """A parameter that nothing uses is said, and stops nothing; positions that are switched off are no such case."""
    checks = preflight(None, (PROJECTION, f"{PROJECTION}; self.idle = nn.Parameter(torch.ones(3))"), rules=ANY)
    checks.run_all()
    assert checks.warnings == ["no gradient reaches blocks.0.attn.idle, blocks.1.attn.idle"]
    checks = preflight(None, ("self.use_pos_emb = True", "self.use_pos_emb = False"), rules=ANY)
    checks.run_all()
    assert checks.warnings == []


def test_a_mask_of_floats_is_no_capacity(preflight: Make, script_text: Callable[..., str]) -> None:
    """Where entries alone would pass the ceiling, values decide: a mask stays, as much that was drawn does not."""
    rules = Rules(parameters=1.05, baselines={"softmax": script_text(None)})
    for buffer, passes in (("torch.ones(100, 100).tril()", True), ("torch.randn(100, 100)", False)):
        checks = preflight(None, (PROJECTION, f"{PROJECTION}; self.register_buffer('b', {buffer})"), rules=rules)
        checks.count_baselines()
        if passes:
            checks._build(checks._open())
        else:
            with pytest.raises(CheckFailed, match="and 20,000 in buffers among them"):
                checks._build(checks._open())


def test_the_preflight_leaves_the_settings_file_alone(preflight: Make) -> None:
    """The small sizes are the preflight's own; the run config on disk stays what the training will read."""
    checks = preflight(None, n_embd="1024", n_head="16")
    checks._build(checks._open())
    assert json.loads(Path(checks.request.run).read_text())["n_embd"] == 1024


def test_a_script_of_another_shape_is_named_as_such(tmp_path: Path) -> None:
    """A task may bring a script that this harness cannot build: the check says so, and does not blame the agent."""
    (tmp_path / "source.py").write_text("def solve():\n    return 1\n")
    request = Request(str(tmp_path / "source.py"), str(tmp_path / "run.json"))
    with pytest.raises(CheckFailed, match="defines no load_settings, build_model, GPT"):
        Preflight(request).run_all()
