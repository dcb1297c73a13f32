"""The three child processes of a test, real ones, at toy sizes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from harness import stages
from harness.agent_traceback import agent_frames
from harness.data.training import TrainingData, training_data
from harness.data.validation import validation_tokens
from harness.files import remove
from harness.launch import exclusive
from harness.metrics import parse_progress, read_evaluations
from harness.preflight.report import Rules
from harness.profiles import Profile, load_profile, resolve
from harness.run_config import PATHS, RunConfig, config_sha256
from harness.run_folder import RunFolder
from harness.scoring.checkpoint import load_checkpoint
from harness.stages import MissingReport, checking

TEMPLATE = Path(__file__).parents[3] / "templates" / "custom_pretrain.py"
RETURN = "return self.resid_dropout(self.c_proj(y))"

SIZES = {"block_size": 16, "vocab_size": 256, "n_layer": 1, "n_head": 2, "n_embd": 16}
PROFILE = msgspec.structs.replace(load_profile("smoke"), model=SIZES, windows=20)
SETTINGS = {"max_iters": "6", "eval_interval": "3", "eval_iters": "2", "log_interval": "1"}
CONFIG = resolve(PROFILE, seed=3, device="cpu", overridden=SETTINGS)

Make = Callable[..., RunFolder]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingData:
    """The built-in data set, in a data folder of its own."""
    monkeypatch.setenv("LINBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    return training_data("pydocs")


@pytest.fixture
def folder(tmp_path: Path, data: TrainingData) -> Make:
    """Makes a run folder of the template with what its attention does before it returns, or in place of it."""

    def make(before: str = "pass", returns: str = RETURN) -> RunFolder:
        folder = RunFolder(tmp_path / "run")
        folder.root.mkdir(exist_ok=True)
        folder.source.write_text(TEMPLATE.read_text().replace(RETURN, f"{before}\n        {returns}", 1))
        stages.write_run_config(folder, CONFIG, data)
        return folder

    return make


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    with exclusive(tmp_path / ".lock") as descriptor:
        yield descriptor


def test_the_run_config_says_where_and_what(folder: Make, data: TrainingData) -> None:
    """run.json is the resolved config and its hash, with the data files and this folder's own files."""
    run = folder()
    written = msgspec.json.decode(run.run.read_bytes(), type=RunConfig)
    assert written.train_files == tuple(map(str, data.train_files))
    assert (written.metrics_file, written.checkpoint_file) == (str(run.metrics), str(run.checkpoint))
    assert written.config_sha256 == config_sha256(CONFIG)
    assert msgspec.structs.replace(written, **{key: getattr(CONFIG, key) for key in PATHS}) == CONFIG


def test_check_train_and_score(folder: Make, lock: int, data: TrainingData) -> None:
    """A script that prints passes the preflight, trains with progress, and its score is that of the definition.

    The agent's code is never told where the data sets lie.
    """
    run = folder("print('DATA', os.environ.get('LINBENCH_DATA'), flush=True)")
    checked = stages.run_preflight(run, CONFIG, lock)
    assert (checked.failed, checked.error) == (None, None)
    assert checked.seconds > 0
    assert set(run.log.read_text().splitlines()) == {"DATA None"}

    lines: list[str] = []
    ended, fault = stages.run_training(run, CONFIG, PROFILE, lock, lines.append)
    assert (ended.returncode, fault) == (0, None)
    assert [progress.step for progress in map(parse_progress, lines) if progress] == [1, 2, 3, 4, 5, 6]
    assert [evaluation.step for evaluation in read_evaluations(run.metrics)] == [3, 6]
    assert {line for line in lines if line.startswith("DATA")} == {"DATA None"}

    score = stages.run_scoring(run, CONFIG, PROFILE, lock)
    assert (score.error, score.step, score.tokens) == (None, 6, 20 * 16)
    assert score.metrics == {"val_loss": pytest.approx(expected_loss(run), abs=1e-5)}
    assert run.log.read_text().count("DATA ") == run.log.read_text().count("DATA None")
    assert sorted(path.name for path in run.root.iterdir()) == [
        *("ckpt-000000000006.pt", "ckpt.pt", "metrics.jsonl", "run.json", "source.py", "train.log"),
    ]


def expected_loss(run: RunFolder) -> float:
    """The mean negative log-probability of the first 320 validation tokens, one window after the other."""
    tokens = torch.from_numpy(validation_tokens("pydocs")[:321].astype(np.int64))
    model, _ = load_checkpoint(run.source, run.run, run.checkpoint)
    losses = []
    with torch.no_grad():
        for first in range(0, 320, 16):
            log_probabilities = F.log_softmax(model(tokens[None, first : first + 16])[0][0].double(), -1)
            losses += [-log_probabilities[t, tokens[first + t + 1]].item() for t in range(16)]
    return sum(losses) / len(losses)


def test_a_script_that_ends_its_process_is_told_where(folder: Make, lock: int) -> None:
    """sys.exit in the agent's code fails the preflight at its line, as any exception does."""
    run = folder("sys.exit(0)")
    report = stages.run_preflight(run, CONFIG, lock)
    assert (report.failed, report.error) == ("forward", "SystemExit: 0")
    assert agent_frames(report.traceback, run.source)[-1].code == "sys.exit(0)"


def test_a_preflight_that_gives_no_answer(folder: Make, lock: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that ends the process at once leaves no report, and code that never ends is stopped at the limit."""
    with pytest.raises(MissingReport) as missing:
        stages.run_preflight(folder("os._exit(0)"), CONFIG, lock)
    assert (missing.value.fault.reason, missing.value.ended.returncode) == ("error", 0)
    monkeypatch.setattr(checking, "PREFLIGHT_SECONDS", 3.0)
    with pytest.raises(MissingReport) as missing:
        stages.run_preflight(folder("time.sleep(600)"), CONFIG, lock)
    assert missing.value.fault.reason == "timeout"
    assert "after 3 seconds" in missing.value.fault.message


def test_a_training_that_fails_names_the_agents_line(folder: Make, lock: int) -> None:
    """What the script raises is the fault's message, and the log's end leads to the line."""
    run = folder("raise KeyError('no such thing')")
    ended, fault = stages.run_training(run, CONFIG, PROFILE, lock, lambda line: None)
    assert fault is not None
    assert (fault.reason, fault.message) == ("error", "KeyError: 'no such thing'")
    frame = agent_frames(ended.tail, run.source)[-1]
    assert (frame.function, frame.code) == ("forward", "raise KeyError('no such thing')")
    assert run.source.read_text().splitlines()[frame.line - 1].strip() == frame.code


def test_a_training_ends_at_the_limit_of_its_profile(folder: Make, lock: int) -> None:
    """A training that outlives hours_limit is a timeout."""
    profile: Profile = msgspec.structs.replace(PROFILE, hours_limit=0.3 / 3600)
    ended, fault = stages.run_training(folder(), CONFIG, profile, lock, lambda line: None)
    assert ended.timed_out
    assert fault is not None
    assert fault.reason == "timeout"


def test_a_training_that_falls_silent_ends(folder: Make, lock: int) -> None:
    """A process that hangs in the agent's code, as every rank does behind a stalled one, is ended as stalled."""
    profile: Profile = msgspec.structs.replace(PROFILE, stall_minutes=0.15)
    ended, fault = stages.run_training(folder("time.sleep(600)"), CONFIG, profile, lock, lambda line: None)
    assert ended.timed_out
    assert fault is not None
    assert (fault.reason, fault.refunded) == ("stalled", False)


WRITE = """for number in range(3, 40):
            try:
                name = os.readlink(f'/proc/self/fd/{number}')
                '(deleted)' in name and os.pwrite(number, CONTENT, 0) and WRITTEN.append(number)
            except OSError:
                continue
        """


def test_a_report_is_bounded_and_has_to_be_one(folder: Make, lock: int) -> None:
    """Code that finds the descriptor of the report and ends its process is answered in words, not by a traceback."""
    for content, said in (
        ("b'x' * 2**21", "more than 1,048,576 bytes"),
        ("b'\\xff'", "malformed"),
        ("b'[' * 2**19", ""),
    ):
        forging = WRITE.replace("CONTENT", content).replace("WRITTEN", "[]")
        with pytest.raises(MissingReport, match=f"what its process reported is no report: .*{said}") as missing:
            stages.run_preflight(folder(f"{forging}os._exit(0)"), CONFIG, lock)
        assert missing.value.fault.reason == "error"


def test_no_file_of_the_run_folder_is_a_report(folder: Make, lock: int) -> None:
    """Whatever the agent's code leaves in the report's old place, a link, a folder or a report, nobody reads it."""
    for left in ("os.symlink('/etc/passwd', 'preflight.json')", "os.mkdir('preflight.json')"):
        run = folder(f"os.path.lexists('preflight.json') or {left}")
        assert stages.run_preflight(run, CONFIG, lock).failed is None
        assert run.preflight.is_symlink() or run.preflight.is_dir()
        remove(run.preflight)


LIMITED = Rules(parameters=1.05, baselines={"softmax": TEMPLATE.read_text()})


def test_what_baselines_come_to_is_beyond_reach(folder: Make, lock: int) -> None:
    """Their count is closed before the agent's code begins: a forged report cannot raise the limit."""
    forged = json.dumps({"baseline": {"name": "mine", "parameters": 10**12}, "stored": 1})
    run = folder(f"{WRITE.replace('CONTENT', repr(forged.encode())).replace('WRITTEN', '[]')}os._exit(0)")
    report = stages.run_preflight(run, CONFIG, lock, LIMITED)
    assert report.failed is None  # it is believed what it says of itself
    assert report.stored == 1
    assert report.baseline is not None
    assert (report.baseline.name, report.baseline.parameters) == ("softmax", 256 * 16 + 16 * 16 + 12 * 16**2 + 3 * 16)
