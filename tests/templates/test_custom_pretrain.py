"""The training script: it repeats itself exactly, whatever ends it, and on any number of workers."""

import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from harness.script import load_script

TEMPLATE = Path(__file__).parents[2] / "templates" / "custom_pretrain.py"
SIZES = {"block_size": 16, "vocab_size": 64, "n_layer": 1, "n_head": 2, "n_embd": 16, "dropout": 0.1, "bias": False}
TRAINING = {"seed": 7, "device": "cpu", "dtype": "float32", "micro_batch_size": 2, "gradient_accumulation_steps": 2}
RATES = {"learning_rate": 1e-2, "min_lr": 1e-3, "warmup_iters": 3, "lr_decay_iters": 20, "max_iters": 20}
OPTIMIZER = {"weight_decay": 0.1, "beta1": 0.9, "beta2": 0.95, "grad_clip": 1.0}
INTERVALS = {"eval_interval": 4, "eval_iters": 4, "log_interval": 3, "checkpoint_interval": 1}

New = Callable[..., Path]


@pytest.fixture(scope="session")
def script() -> ModuleType:
    """The script as a module."""
    return load_script(TEMPLATE)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Two files of train tokens and one of dev tokens, each token near the one before."""
    folder, numbers = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name, count in (("train-1", 700), ("train-2", 261), ("dev", 400)):
        (numbers.integers(0, 5, count).cumsum() % 64).astype("<u2").tofile(folder / f"{name}.bin")
    return {"train_files": [f"{folder}/train-1.bin", f"{folder}/train-2.bin"], "dev_files": [f"{folder}/dev.bin"]}


@pytest.fixture(scope="session")
def new_run(tmp_path_factory: pytest.TempPathFactory, data: dict[str, list[str]]) -> New:
    """Makes the folder of a run that has not begun; keyword arguments replace settings."""

    def new(**changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("run")
        files = {"metrics_file": str(folder / "metrics.jsonl"), "checkpoint_file": str(folder / "ckpt.pt")}
        settings = {**SIZES, **TRAINING, **RATES, **OPTIMIZER, **INTERVALS, **data, **files, **changes}
        (folder / "run.json").write_text(json.dumps(settings))
        return folder

    return new


@pytest.fixture(autouse=True)
def _sigterm() -> Iterator[None]:
    """A training in this process takes SIGTERM for itself; give it back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def train(script: ModuleType, folder: Path, steps: int | None = None) -> None:
    """Train in this process, to the end or for some steps, after which SIGTERM comes."""
    training = script.Training(script.load_settings(str(folder / "run.json")))
    if steps is None:
        training.run()
        return
    update = training.update
    target = training.step + steps

    def update_and_signal() -> None:
        update()
        if training.step == target:
            signal.raise_signal(signal.SIGTERM)

    training.update = update_and_signal
    with pytest.raises(SystemExit, match="143"):
        training.run()


@pytest.fixture(scope="session")
def reference(script: ModuleType, new_run: New) -> Path:
    """A run that nothing has interrupted."""
    torch.set_num_threads(1)
    folder = new_run()
    train(script, folder)
    return folder


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of the metrics file without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line if key not in ("seconds", "tokens_per_second")} for line in lines]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Weights, both moments of every weight, and the random state."""
    saved = torch.load(folder / "ckpt.pt", weights_only=True)
    moments = saved["optimizer"]["state"]
    named = {f"{number} {key}": moments[number][key] for number in moments for key in moments[number]}
    return {**saved["model"], **named, "random": saved["workers"][0]["cpu"]}


def assert_same_run(folder: Path, reference: Path) -> None:
    """The metrics are the same line for line and the checkpoints the same bit for bit."""
    assert metrics(folder) == metrics(reference)
    ours, theirs = tensors(folder), tensors(reference)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}
    arguments = [sys.executable, *command, str(folder / "run.json")]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_progress(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("PROGRESS"):
            return
    raise AssertionError("it ended without progress")


def test_the_metrics_are_those_of_the_steps(reference: Path) -> None:
    """Every eval_interval steps and at the end there is one line, with the tokens so far, and the model learns."""
    lines = metrics(reference)
    assert [line["step"] for line in lines] == [4, 8, 12, 16, 20]
    assert [line["tokens"] for line in lines] == [step * 16 * 4 for step in (4, 8, 12, 16, 20)]
    assert lines[0]["train_loss"] == pytest.approx(math.log(64), abs=0.1)
    assert lines[-1]["val_loss"] < lines[0]["val_loss"] - 0.3


def test_a_run_stopped_after_every_step_is_the_same_run(script: ModuleType, new_run: New, reference: Path) -> None:
    """Twenty processes that do one step each come to the very weights, moments and metrics of one that does twenty."""
    folder = new_run(checkpoint_interval=1000)
    for _ in range(19):
        train(script, folder, steps=1)
    train(script, folder)
    assert_same_run(folder, reference)
    train(script, folder)  # there is nothing left to do
    assert_same_run(folder, reference)


def test_kill_9_at_any_moment_costs_nothing(new_run: New, reference: Path) -> None:
    """A run killed at a random moment, then in the middle of writing its checkpoint, ends as if it never was."""
    folder = new_run()
    process = start(folder, str(TEMPLATE))
    wait_for_progress(process)
    time.sleep(random.Random(5).uniform(0, 0.1))
    process.kill()
    process.communicate()

    part, checkpoint = folder / "ckpt.pt.part", folder / "ckpt.pt"
    before = checkpoint.read_bytes() if checkpoint.exists() else b""
    part.unlink(missing_ok=True)
    os.mkfifo(part)  # a writer waits here until somebody reads
    process = start(folder, str(TEMPLATE))
    with part.open("rb") as pipe:
        assert len(pipe.read(1000)) == 1000
        process.kill()
        process.communicate()
    part.unlink()
    assert (checkpoint.read_bytes() if checkpoint.exists() else b"") == before

    process = start(folder, str(TEMPLATE))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert_same_run(folder, reference)


def test_sigterm_saves_and_ends_with_143(script: ModuleType, new_run: New, reference: Path) -> None:
    """A process that is asked to stop writes its checkpoint first, and the run can go on from there."""
    folder = new_run(checkpoint_interval=1000, max_iters=100_000)
    process = start(folder, str(TEMPLATE))
    wait_for_progress(process)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert torch.load(folder / "ckpt.pt", weights_only=True)["step"] > 0


def test_two_workers_follow_the_curve_of_one(new_run: New, tmp_path: Path, free_port: int) -> None:
    """Under torchrun two processes share the micro-batches of one, here with positions that get no gradient."""
    source = tmp_path / "source.py"
    source.write_text(TEMPLATE.read_text().replace("self.use_pos_emb = True\n", "self.use_pos_emb = False\n", 1))
    changes = {"dropout": 0.0, "gradient_accumulation_steps": 4}
    alone, together = new_run(**changes), new_run(**changes)
    train(load_script(source), alone)
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port}"]
    process = start(together, *torchrun, str(source))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    for ours, theirs in zip(metrics(together), metrics(alone), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4, nan_ok=False)


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def test_micro_batches_that_cannot_be_shared_are_refused(
    script: ModuleType, new_run: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three micro-batches cannot be shared by two workers, and the message says so."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 workers cannot share 3 micro-batches"):
        train(script, new_run(gradient_accumulation_steps=3))


@pytest.mark.parametrize("damage", [b"", b'{"step": 4, "train_l', b'\xff\x00}\n{"step": 8}\nnull\n', None])
def test_a_damaged_metrics_file_is_made_anew(
    script: ModuleType, new_run: New, reference: Path, damage: bytes | None
) -> None:
    """Whatever became of metrics.jsonl, a resumed run begins with the lines that its checkpoint knows."""
    folder = new_run()
    train(script, folder, steps=10)
    if damage is None:
        (folder / "metrics.jsonl").unlink()
    else:
        (folder / "metrics.jsonl").write_bytes(damage)
    train(script, folder)
    assert_same_run(folder, reference)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_checkpoint_cut_short_costs_time_alone(
    script: ModuleType, new_run: New, reference: Path, capsys: pytest.CaptureFixture[str], share: float
) -> None:
    """A run whose checkpoint cannot be read says so, begins again and ends as it would have."""
    folder = new_run()
    train(script, folder, steps=10)
    checkpoint = folder / "ckpt.pt"
    os.truncate(checkpoint, int(share * checkpoint.stat().st_size))
    train(script, folder)
    assert "The checkpoint cannot be read, and the run begins again: " in capsys.readouterr().out
    assert_same_run(folder, reference)


def test_a_full_disk_leaves_the_last_checkpoint(script: ModuleType, new_run: New, reference: Path) -> None:
    """A checkpoint that finds no room ends the run with the system's own words, and the run can go on later."""
    folder = new_run()
    train(script, folder, steps=10)
    (folder / "ckpt.pt.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        train(script, folder)
    (folder / "ckpt.pt.part").unlink()
    train(script, folder)
    assert_same_run(folder, reference)


def test_a_loss_that_is_no_number_ends_the_run(script: ModuleType, new_run: New) -> None:
    """A diverged run stops at its next report instead of training on."""
    with pytest.raises(FloatingPointError, match="the training loss became nan by step 3"):
        train(script, new_run(learning_rate=1e30, grad_clip=0.0))


def test_accumulation_changes_nothing_but_memory(script: ModuleType, new_run: New) -> None:
    """Four micro-batches of two windows make the step of one micro-batch of eight."""
    runs = [(8, 1), (2, 4)]
    folders = [new_run(dropout=0.0, micro_batch_size=size, gradient_accumulation_steps=n) for size, n in runs]
    for folder in folders:
        train(script, folder)
    for ours, theirs in zip(*map(metrics, folders), strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], abs=1e-4)


def test_overrides_come_on_top_of_the_run_config(script: ModuleType, new_run: New, tmp_path: Path) -> None:
    """A value in CONFIG_OVERRIDES replaces the config's, and the others stay."""
    source = tmp_path / "source.py"
    source.write_text(TEMPLATE.read_text().replace("CONFIG_OVERRIDES = {}", "CONFIG_OVERRIDES = {'min_lr': 0.5}"))
    settings = load_script(source).load_settings(str(new_run() / "run.json"))
    assert (settings.min_lr, settings.learning_rate) == (0.5, 1e-2)


def test_the_functions_that_kernels_stand_behind_change_nothing_on_a_cpu(new_run: New, reference: Path) -> None:
    """Where there is no GPU they compute what the script's own do, digit for digit."""
    script, folder = load_script(TEMPLATE), new_run()
    training = script.Training(script.load_settings(str(folder / "run.json")))
    script.Fused.use_kernels(training.model)
    assert script.Fused.head.__module__ == "harness.fused.functions"
    training.run()
    assert metrics(folder) == metrics(reference)


def test_without_linbench_the_script_is_itself(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs torch and numpy alone: where harness cannot be imported its own functions stay."""
    before = vars(script.Fused).copy()
    monkeypatch.setitem(sys.modules, "harness", None)
    script.Fused.use_kernels(None)
    assert vars(script.Fused) == before
