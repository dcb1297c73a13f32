"""What a training process says, read by somebody who does not trust it."""

import json
from pathlib import Path

import pytest

from harness.metrics import Progress, metric_name, parse_progress, read_evaluations

LINE = {"step": 10, "train_loss": 2.5, "val_loss": 2.25, "seconds": 1.5, "tokens": 640, "tokens_per_second": 426.0}


def test_a_progress_line_is_read() -> None:
    """The line of the training script gives its three numbers, also a loss that is none."""
    said = "PROGRESS: step=20, loss=2.5000, tokens_per_second=1000"
    assert parse_progress(said) == Progress(20, 2.5, 1000.0)
    progress = parse_progress("PROGRESS: step=20, loss=nan, tokens_per_second=1000")
    assert progress is not None
    assert progress.loss != progress.loss


@pytest.mark.parametrize(
    "line",
    [
        "",
        "PROGRESS: step=20",
        "PROGRESS: step=x, loss=1, tokens_per_second=1",
        "PROGRESS: step=2, loss=1.2.3, tokens_per_second=1",
        "PROGRESS: step=2, loss=none, tokens_per_second=1",
        f"PROGRESS: step={'9' * 4000}, loss=1, tokens_per_second=1",
        f"PROGRESS: step={'9' * 5000}, loss=1, tokens_per_second=1",
        "# PROGRESS: step=20, loss=2.5, tokens_per_second=1000",
    ],
)
def test_any_other_line_is_no_progress(line: str) -> None:
    """A line that the agent's code printed, however like one it looks, breaks nothing."""
    assert parse_progress(line) is None


def test_torn_and_foreign_lines_are_passed_over(tmp_path: Path) -> None:
    """A metrics file with a torn last line, binary junk, NaN and other JSON gives its good lines in order."""
    path = tmp_path / "metrics.jsonl"
    assert read_evaluations(path) == []
    good = [json.dumps({**LINE, "step": step}).encode() for step in (10, 20)]
    bad = [b"\xff\x00", b"", b"[]", b"null", json.dumps({**LINE, "val_loss": float("nan")}).encode(), b"{" * 10_000]
    bad.append(json.dumps(LINE)[:-1].encode() + b', "more": ' + b"[" * 100_000)
    path.write_bytes(b"\n".join([good[0], *bad, good[1], good[1][:30]]))
    assert [evaluation.step for evaluation in read_evaluations(path)] == [10, 20]


def test_metric_names_are_the_published_ones() -> None:
    """Downstream tasks carry the lm-eval name, all others the profile's."""
    assert metric_name("val_loss", "gpt-345m") == "val_loss_gpt-345m"
    assert metric_name("arc_easy", "gpt-345m") == "arc_easy_lm-eval-345m"
