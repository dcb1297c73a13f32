"""The leaderboard's three forms say the same."""

import csv
import io
import json
from collections.abc import Callable

from sandbox.leaderboard import leaderboard_csv, leaderboard_report
from sandbox.row import Row
from sandbox.tasks import LoadedTask


def test_report_has_the_same_rows_in_every_form(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """JSON, text and CSV name the same agents with the same ranks."""
    rows = [row(2.0, name="a,b"), row(1.0, name="c")]
    report = leaderboard_report(measured_task, rows)
    groups = json.loads(json.dumps(report.data))["groups"]
    assert [[entry["name"] for entry in group["rows"]] for group in groups] == [["best", "known"], ["c", "a,b"]]
    lines = [line.split() for line in report.text().splitlines()]
    assert ["1", "c", "agent", "1.0000", "-", "s1", "2026-11-20", "12:30"] in lines
    table = list(csv.DictReader(io.StringIO(leaderboard_csv(measured_task, rows))))
    assert [(line["group"], line["rank"], line["name"], line["val_loss"]) for line in table] == [
        ("1", "1", "best", "2.25"),
        ("1", "2", "known", "2.5"),
        ("2", "1", "c", "1.0"),
        ("2", "2", "a,b", "2.0"),
    ]


def test_marks_and_normalised_scores_are_in_every_form(measured_task: LoadedTask, row: Callable[..., Row]) -> None:
    """The column `norm`, the sign behind a name and its legend in text; the same in JSON and CSV."""
    by_seed = {"42": {"val_loss": 1.9}, "43": {"val_loss": 2.1}}
    rows = [
        row(2.0, name="known", kind="baseline", by_seed=by_seed),
        row(3.0, name="worse", kind="baseline"),
        row(2.0, name="me", by_seed=by_seed, isolation="bubblewrap", resumes=2, warnings=("it reads os.environ",)),
    ]
    report = leaderboard_report(measured_task, rows)
    text = report.text()
    assert ["1", "me", "~", "agent", "0.500", "2.0000", "±0.1414"] in [line.split()[:7] for line in text.splitlines()]
    assert "norm: val_loss on the scale of the baselines of this group: worst 3.0000 is 0, best 2.0000 is 0.5" in text
    assert "~ me cannot be told from known." in text
    assert "\nme, s1: resumed 2 time(s); it reads os.environ." in text
    assert ["bubblewrap", "s1"] in [line.split()[7:9] for line in text.splitlines()]
    (mine,) = [entry for entry in report.data["groups"][1]["rows"] if entry["name"] == "me"]
    assert (mine["normalised"], mine["like_baselines"]) == ({"val_loss": 0.5}, ["known"])
    assert (mine["by_seed"], mine["spread"]["val_loss"]["largest"]) == (by_seed, 2.1)
    assert (mine["isolation"], mine["resumes"]) == ("bubblewrap", 2)
    (line,) = [
        line for line in csv.DictReader(io.StringIO(leaderboard_csv(measured_task, rows))) if line["name"] == "me"
    ]
    assert (line["norm_val_loss"], line["norm_accuracy"], line["like_baselines"]) == ("0.5", "", "known")
    assert (line["seeds"], line["deviation_val_loss"][:6]) == ("42 43", "0.1414")
    assert (line["isolation"], line["resumes"], line["warnings"]) == ("bubblewrap", "2", "it reads os.environ")


def test_empty_leaderboard_says_what_to_do(measured_task: LoadedTask) -> None:
    """Without a local row the reply names the command that makes one."""
    assert "linbench submit" in leaderboard_report(measured_task, []).text()
