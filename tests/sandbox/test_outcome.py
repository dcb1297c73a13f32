"""The facts beside a score, and result.json."""

import hashlib
import json
from pathlib import Path

from harness.data.training import TrainingData
from harness.launch import Exit
from harness.metrics import Evaluation
from harness.profiles import load_profile, resolve
from harness.scoring.report import Report
from sandbox.outcome import facts_of, result_json, sha256_of
from sandbox.state import TestState

CONFIG = resolve(load_profile("smoke"), seed=42, device="cpu")
DATA = TrainingData("pydocs", "d" * 64, 256, (), ())
RECEIPT = {"harness_sha256": "f" * 64}
ENDED = Exit(0, False, 12.5, "")


def evaluation(step: int, speed: float) -> Evaluation:
    return Evaluation(step, 5.0, 5.1, seconds=step / 10, tokens=step * 1024, tokens_per_second=speed)


def test_facts_are_the_last_evaluation_the_median_speed_and_the_parents_times(tmp_path: Path) -> None:
    """Steps and tokens are those of the last line, speed the median, and what was not measured is left out."""
    checkpoint = tmp_path / "ckpt.pt"
    checkpoint.write_bytes(b"weights")
    lines = [evaluation(10, 900.0), evaluation(20, 1000.0), evaluation(30, 100.0)]
    score = Report(metrics={"val_loss": 5.0}, errors={"piqa": "no data"}, tokens=7, tokens_sha256="e" * 64, seconds=2.5)
    facts = facts_of(CONFIG, DATA, "template", 820352, ENDED, 1.5, lines, score, sha256_of(checkpoint), [], RECEIPT)
    assert (facts["steps"], facts["tokens"], facts["tokens_per_second"]) == (30, 30720, 900.0)
    assert (facts["startup_seconds"], facts["train_seconds"], facts["score_seconds"]) == (1.5, 12.5, 2.5)
    assert facts["not_measured"] == {"piqa": "no data"}
    assert facts["checkpoint_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert "peak_memory_bytes" not in facts
    assert facts["harness_sha256"] == "f" * 64
    failed = facts_of(CONFIG, DATA, "template", None, ENDED, None, [], None, None, [], RECEIPT)
    assert (failed["steps"], failed["tokens"]) == (0, 0)
    assert not {"parameters", "tokens_per_second", "score_seconds", "checkpoint_sha256", "not_measured"} & set(failed)


def test_result_json_uses_the_published_names_and_one_form(tmp_path: Path) -> None:
    """Metrics carry the profile in their names; the same outcome gives the same bytes."""
    test = TestState(1, "reserved", 0, "", "a" * 64, "gpt-345m", 42, {}, "b" * 64, "2026-11-20T12:00:00+00:00")
    text = result_json(test, "done", None, {"val_loss": 2.5, "arc_easy": 0.5}, {"steps": 3})
    result = json.loads(text)
    assert result["metrics"] == {"val_loss_gpt-345m": 2.5, "arc_easy_lm-eval-345m": 0.5}
    assert (result["test"], result["status"], result["steps"]) == (1, "done", 3)
    assert text == result_json(test, "done", None, {"val_loss": 2.5, "arc_easy": 0.5}, {"steps": 3})
    assert text.endswith("}\n")
