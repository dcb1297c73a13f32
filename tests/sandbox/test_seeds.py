"""Several seeds as one result: what they come to, which can be asked for, and a test that really trains two."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.discovery import find
from sandbox.errors import UsageError
from sandbox.seeds import Spread, chosen_seeds, joint_facts, mean_metrics, parse_seeds, spreads
from sandbox.tasks import LoadedTask

Linbench = Callable[..., Any]
Spawn = Callable[..., Any]
Wait = Callable[..., None]
TinyRun = Callable[..., list[str]]

KILLED = Path(__file__).parent / "processes" / "linbench_killed.py"
LINE = "x = x + self.mlp(self.ln_2(x))"


def test_means_and_spread_are_of_what_every_seed_has() -> None:
    """A metric that one seed lacks has no mean; the deviation is the sample's."""
    by_seed = [{"val_loss": 2.0, "accuracy": 0.5}, {"val_loss": 3.0}, {"val_loss": 4.0, "accuracy": 0.25}]
    assert mean_metrics(by_seed) == {"val_loss": 3.0}
    assert spreads(by_seed) == {"val_loss": Spread(1.0, 2.0, 4.0)}
    assert spreads(by_seed[:1]) == {}


def test_costs_add_up_and_what_differs_is_left_to_the_seeds() -> None:
    """Seconds are summed, the largest memory counts, speeds are means; hashes that differ stand by each seed alone."""
    first = {"data": "pydocs", "train_seconds": 2.0, "peak_memory_bytes": 5, "tokens_per_second": 10.0}
    second = {
        **first,
        "train_seconds": 3.0,
        "peak_memory_bytes": 9,
        "tokens_per_second": 20.0,
        "checkpoint_sha256": "b",
    }
    lacking = {"checkpoint_sha256": "a", "not_measured": {"piqa": "no data"}}
    joint = joint_facts([{**first, **lacking}, {**second, "checkpoint_sha256": "b"}])
    assert joint == {
        "data": "pydocs",
        "train_seconds": 5.0,
        "peak_memory_bytes": 9,
        "tokens_per_second": 15.0,
        "not_measured": {"piqa": "no data"},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no numbers"), ("42;43", "no numbers"), ("42,", "no numbers"), ("4,4", "twice"), ("4294967296", "must be")],
)
def test_seeds_that_cannot_be_are_refused(text: str, said: str) -> None:
    """The reply says what is wrong with the list."""
    with pytest.raises(UsageError, match=said):
        parse_seeds(text)


def test_a_session_has_the_seeds_that_were_asked_for_else_the_tasks(toy_task: LoadedTask) -> None:
    """One of --seed and --seeds; in vanilla mode one seed, the task's first."""
    task = toy_task.task
    assert chosen_seeds(task, "agent", None, "7, 8") == (7, 8)
    assert chosen_seeds(task, "agent", 9, None) == (9,)
    assert chosen_seeds(task, "agent", None, None) == task.seeds
    with pytest.raises(UsageError, match="not both"):
        chosen_seeds(task, "agent", 9, "7,8")
    with pytest.raises(UsageError, match="has one seed"):
        chosen_seeds(task, "vanilla", None, "7,8")


def test_a_test_of_two_seeds_is_one_test_with_mean_and_spread(
    linbench: Linbench, spawn: Spawn, runs: Path, lawless: Path, tiny_run: TinyRun, wait_until_idle: Wait
) -> None:
    """Killed while its second seed trains, it resumes there; one test is spent, and each seed alone scores the same."""
    linbench("start", lawless, "--seeds", "42,43", "--tests", "1")
    session = find(None, runs)
    linbench("edit", "--old", LINE, "--new", "x = self.mlp(self.ln_2(x)) + x")
    process = spawn("second-seed", "test", *tiny_run(eval_iters=1), program=KILLED)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    wait_until_idle(session)
    waiting = session.read().tests[1]
    assert (waiting.status, list(waiting.by_seed)) == ("reserved", [42])
    done = linbench("test", "--resume", "--json")
    assert done.code == 0, done.out
    losses = {seed: found["val_loss"] for seed, found in done.json["by_seed"].items()}
    assert list(losses) == ["42", "43"]
    assert done.json["metrics"]["val_loss"] == pytest.approx(sum(losses.values()) / 2)
    assert (done.json["resumes"], done.json["tests_left"]) == (1, 0)
    assert done.json["facts"]["parameters"] > 0
    assert session.folder.test(1).of_seed(43).checkpoint.is_file()
    assert linbench("submit", "1").code == 0

    verified = linbench("verify", session.name, "--json")
    assert verified.code == 0, verified.out
    assert {"val_loss, seed 42", "val_loss, seed 43", "checkpoint, seed 43"} <= set(verified.json["verified"])
    (row,) = linbench("leaderboard", "--json").json["groups"][-1]["rows"]
    assert {seed: found["val_loss"] for seed, found in row["by_seed"].items()} == losses
    assert row["spread"]["val_loss"]["largest"] == max(losses.values())
    assert f" ±{row['spread']['val_loss']['deviation']:.4f}" in linbench("runs", "1").out

    linbench("start", lawless, "--seed", "43", "--tests", "1")
    linbench("edit", "--old", LINE, "--new", "x = self.mlp(self.ln_2(x)) + x")
    alone = linbench("test", *tiny_run(eval_iters=1), "--json").json
    assert alone["metrics"]["val_loss"] == losses["43"]


def test_a_seed_that_fails_fails_the_test_and_finds_nothing_planted(
    linbench: Linbench, runs: Path, lawless: Path, tiny_run: TinyRun
) -> None:
    """The reply names the seed and its reason; what the first seed left in the second's folder is gone by then."""
    linbench("start", lawless, "--seeds", "42,43", "--tests", "1")
    session = find(None, runs)
    plant = "os.makedirs('seed-43', exist_ok=True); open('seed-43/planted', 'w').close()"
    fail = "assert not torch.initial_seed() == 43 or not os.path.exists('ckpt.pt'), 'not this seed'"
    look = "open('looked', 'w').write(str(os.path.exists('../ckpt.pt')))"
    edited = linbench("edit", "--old", LINE, "--new", f"{plant}; {look}; {fail}; {LINE}")
    assert edited.code == 0, edited.out
    reply = linbench("test", *tiny_run(eval_iters=1), "--json")
    assert reply.code == 5, reply.out
    assert "failed (error) at seed 43: AssertionError: not this seed" in reply.json["error"]["message"]
    state = session.read()
    assert (state.tests[1].status, state.budget_left, list(state.tests[1].by_seed)) == ("failed", 0, [42])
    assert state.tests[1].facts is not None
    assert state.tests[1].facts["failed_seed"] == 43
    second = session.folder.test(1).of_seed(43).root
    assert not (second / "planted").exists()
    if state.tests[1].isolation == "bubblewrap":  # the first seed's weights would be a longer training
        assert (second / "looked").read_text() == "False"
