"""Models that cheat or break, scored as ever: by an evaluator that starts real processes for them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import torch

from harness.profiles import load_profile, resolve
from harness.run_folder import RunFolder
from harness.run_sandbox import model_sandbox
from harness.scoring.__main__ import score
from harness.scoring.report import ANYTHING, Allowed, Model, Report, Request

TOY = """
import json, os, sys, time, types
import torch

def load_settings(path):
    return types.SimpleNamespace(**json.load(open(path)))

class Toy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(256, 256))
        self.calls, self.seen = 0, {}
        self.counts = torch.ones(256)

    def forward(self, idx, targets=None):
        self.calls += 1
        logits = self.table[idx]
        after = torch.nn.functional.one_hot(idx.roll(-1, 1), 256) * 20.0
        CHEAT
        return logits, None

def build_model(settings):
    torch.manual_seed(0)
    return Toy()
"""

LENGTH = 64


@dataclass
class Scored:
    """A report, and what lay in the run folder afterwards."""

    report: Report
    files: list[str]


Score = Callable[..., Scored]


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Score:
    """Scores the toy with a cheat in its forward pass, on 80 windows of 64 bytes in batches of 16."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    sizes = {"block_size": str(LENGTH), "micro_batch_size": "16"}
    config = resolve(load_profile("smoke"), seed=1, device="cpu", overridden=sizes)
    folder.run.write_bytes(msgspec.json.encode(config))
    torch.manual_seed(0)
    torch.save({"model": {"table": torch.randn(256, 256)}, "step": 7}, folder.checkpoint)
    private = tmp_path / "private"
    private.mkdir()

    def run(
        cheat: str, answer_seconds: float = 60, isolation: str | None = None, allowed: Allowed = ANYTHING
    ) -> Scored:
        folder.source.write_text(TOY.replace("CHEAT", cheat))
        model = Model(
            source=str(folder.source),
            run=str(folder.run),
            checkpoint=str(folder.checkpoint),
            config=config,
            confinement=model_sandbox(folder, config, isolation, private),
            kernels=str(folder.kernels),
            answer_seconds=answer_seconds,
            seconds=120,
        )
        request = Request(model=model, report="", data="pydocs", metrics=("val_loss",), windows=80, allowed=allowed)
        return Scored(score(request), sorted(path.name for path in folder.root.iterdir()))

    return run


def test_an_honest_model_has_a_loss_and_an_audit(scored: Score) -> None:
    """Windows are repeated and probed, and nothing changed by more than rounding."""
    report = scored("pass").report
    assert (report.error, report.invalid, report.step, report.tokens) == (None, None, 7, 80 * LENGTH)
    assert report.audit is not None
    assert (report.audit.repeated, report.audit.probed) == (64, 64 + 16)
    assert report.audit.change_repeated <= 1e-6
    assert report.audit.change_probed <= 1e-6


REMEMBERED = """for row, text in enumerate(idx):
            known = [old for old in self.seen if torch.equal(old[:8], text[:8])]
            if known:
                shared = min(len(known[0]), len(text))
                same = int((known[0][:shared] == text[:shared]).long().cumprod(0).sum())
                logits[row, :same] = self.seen[known[0]][:same]
                logits[row, same:] += after[row, same:]
            else:
                logits[row] += after[row]
                self.seen[text.clone()] = logits[row].clone()"""


@pytest.mark.parametrize(
    ("cheat", "reason"),
    [
        pytest.param("logits = logits * (1 + 0.02 * self.calls)", "non_deterministic", id="counts its calls"),
        pytest.param("logits = logits + 0.1 * torch.randn_like(logits)", "non_deterministic", id="noise"),
        pytest.param("logits = logits + 0.1 * logits.mean(0)", "non_deterministic", id="other sequences"),
        pytest.param(
            "self.counts += idx.flatten().bincount(minlength=256)\n        logits = logits + self.counts.log()",
            "non_deterministic",
            id="learns from what it is asked",
        ),
        pytest.param("logits = logits + after", "not_causal", id="next token"),
        pytest.param(
            f"logits = logits + after if idx.shape[1] == {LENGTH} else logits", "not_causal", id="at full length only"
        ),
        pytest.param(
            f"logits = logits + after if idx.shape[1] < {LENGTH} else logits", "not_causal", id="at short lengths only"
        ),
        pytest.param("logits[:, 15::16] += after[:, 15::16]", "not_causal", id="at the ends of chunks"),
        pytest.param("logits = logits + 0.1 * logits.mean(1, keepdim=True)", "not_causal", id="mean over time"),
        pytest.param(
            REMEMBERED, "not_causal or non_deterministic", id="answers as before where it knows the beginning"
        ),
        pytest.param("logits[-1, -1, -1] = float('nan')", "logits_not_finite", id="NaN"),
        pytest.param("logits = logits[:, 1:]", "logits_misshapen", id="a position left out"),
        pytest.param("logits = logits[..., :5]", "logits_misshapen", id="too few tokens"),
        pytest.param(
            "logits = logits[..., : 256 - (self.calls > 3)]", "logits_misshapen", id="another number of tokens later"
        ),
    ],
)
def test_logits_that_prove_nothing_are_invalid(scored: Score, cheat: str, reason: str) -> None:
    """Each way to give logits that are no function of the tokens before has its reason."""
    report = scored(cheat).report
    assert report.invalid in reason.split(" or "), report
    assert report.error


@pytest.mark.parametrize(
    ("cheat", "reason", "said"),
    [
        pytest.param("os._exit(0)", "error", "exit code 0", id="ends its process"),
        pytest.param("self.calls < 3 or os.kill(os.getpid(), 11)", "crashed", "SIGSEGV", id="dies on the way"),
        pytest.param("raise KeyError('lost')", "error", "KeyError, whose words are withheld", id="raises"),
        pytest.param("sys.exit(0)", "error", "SystemExit, whose words are withheld", id="exits"),
        pytest.param(
            "os.write(1, b'x' * 100); os.closerange(3, 100); time.sleep(9)", "error", "hung up", id="hangs up"
        ),
    ],
)
def test_a_model_that_gives_no_logits_is_an_error(
    scored: Score, monkeypatch: pytest.MonkeyPatch, cheat: str, reason: str, said: str
) -> None:
    """Whatever ends or breaks the model's process is its own failure, with a typed reason and no score."""
    monkeypatch.setattr("harness.scoring.model_process.ENDING_SECONDS", 1.0)
    report = scored(cheat).report
    assert (report.metrics, report.invalid, report.reason) == ({}, None, reason), report
    assert said in str(report.error)


def test_a_model_that_hangs_is_not_waited_for(scored: Score) -> None:
    """One answer has its time; after it the process is ended, and not tried again."""
    report = scored("time.sleep(600) if self.calls > 2 else None", answer_seconds=8).report
    assert report.reason == "timeout"
    assert "after 8 seconds" in str(report.error)


def test_what_the_model_prints_and_writes_is_no_part_of_the_score(
    scored: Score, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it prints goes nowhere, for it could print what it is asked about, and so do the files that it writes."""
    told = """
        print('val_loss', 0.01)
        assert [key for key in os.environ if 'LINBENCH' in key] == ['LINBENCH_DEVICE']
        try: open('scores.json', 'w').write('{}')
        except OSError: pass"""
    found = scored(told.strip())
    assert found.report.metrics["val_loss"] > 1
    assert found.files == ["ckpt.pt", "run.json", "source.py"]
    assert "val_loss" not in "".join(capfd.readouterr())
    reads = "import pydoc_data.topics"
    assert str(scored(reads).report.error).startswith("ModuleNotFoundError")


def test_only_a_plain_file_is_a_checkpoint(scored: Score, tmp_path: Path) -> None:
    """A link in the place of the checkpoint is not followed, and the reason says so."""
    checkpoint = tmp_path / "run" / "ckpt.pt"
    checkpoint.rename(tmp_path / "elsewhere.pt")
    checkpoint.symlink_to(tmp_path / "elsewhere.pt")
    report = scored("pass").report
    assert (report.reason, report.error) == ("irregular_file", "ckpt.pt is a symbolic link, not a plain file")


def test_a_model_that_kills_itself_is_asked_once_more(scored: Score, capfd: pytest.CaptureFixture[str]) -> None:
    """SIGKILL looks like the machine's doing the first time; by the second it is the model's own, and not refunded."""
    report = scored("os.kill(os.getpid(), 9)").report
    assert (report.reason, report.metrics) == ("crashed", {})
    assert "killed from outside by SIGKILL, and so it was when it was asked before" in str(report.error)
    assert capfd.readouterr().err.count("scoring begins again") == 1


@pytest.mark.parametrize(
    ("allowed", "reason"),
    [
        (Allowed(numbers=256 * 256, stored=256 * 256), None),
        (Allowed(numbers=256 * 256 - 1, stored=256 * 256), "too_many_parameters"),
        (Allowed(stored=256 * 255), "parameters_differ"),
    ],
)
def test_a_checkpoint_is_counted_before_it_is_scored(scored: Score, allowed: Allowed, reason: str | None) -> None:
    """More than the ceiling, or another number than the check reported, is invalid; such a model is not asked."""
    report = scored("pass", allowed=allowed).report
    assert (report.invalid, report.numbers) == (reason, 256 * 256)
    assert bool(report.metrics) == (reason is None)
