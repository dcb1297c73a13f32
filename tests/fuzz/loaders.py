"""Mutated files through the loaders: `python tests/fuzz/loaders.py [--count N] [--seed S]`.

Task folders and ledgers are loaded or refused with linbench's own errors; a checkpoint is loaded or raises, and never
runs code, ends the process or takes for ever; nothing outside the mutated file changes. A failure names its case.
"""

import argparse
import io
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from harness.profiles import load_profile, resolve
from harness.scoring.checkpoint import load_checkpoint
from harness.scoring.weights import Unreadable, read_weights
from sandbox.errors import LinbenchError
from sandbox.session import Session
from sandbox.tasks import load_folder, load_task

ROOT = Path(__file__).parents[2]
TASK = ROOT / "tasks" / "llm-pretrain-linear-attention"
SECONDS = 20
"""For one case; a loader that hangs is a failure."""
MEMORY_BYTES = 8 * 2**30

WORDS = [
    b"null",
    b"-1",
    b"0",
    b"1e999",
    b".nan",
    b"!!python/object:os.system",
    b"&a",
    b"*a",
    b"<<: *a",
    b"{}",
    b"[]",
    b"true",
    b"''",
]
WORDS += [
    b"---\n",
    b"\t",
    b"\r\n",
    b"\0",
    b"\xff",
    b"9" * 5000,
    b"[" * 2000,
    b"a: " * 50,
    b"# ",
    b"- ",
    b": ",
    b"\xe2\x80\xa8",
    b"../..",
]


def mutate(dice: random.Random, data: bytes) -> bytes:
    """A few bytes changed, dropped, doubled, or replaced by words that parsers stumble over."""
    for _ in range(dice.choice([1, 1, 2, 4])):
        start = dice.randrange(len(data) + 1)
        end = min(len(data), start + dice.choice([0, 1, 1, 4, 40, 4000]))
        new = dice.choice([b"", dice.randbytes(end - start), dice.choice(WORDS), data[start:end] * 2])
        data = data[:start] + new + data[end:]
    return data


class Task:
    """A task folder of which one file is mutated."""

    def __init__(self, where: Path):
        self.folder = shutil.copytree(TASK, where / "task")
        self.files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        self.whole = {path: path.read_bytes() for path in self.files}

    def run(self, dice: random.Random) -> None:
        path = dice.choice([self.folder / "task.yaml", *self.files])
        path.write_bytes(mutate(dice, self.whole[path]))
        try:
            load_folder(self.folder)
        finally:
            path.write_bytes(self.whole[path])


class Ledger:
    """A session's ledger of a few events."""

    def __init__(self, where: Path):
        task = load_task("llm-pretrain-linear-attention")
        usual = {"agent": "fuzz", "mode": "agent", "kind": "agent", "profile": "smoke", "tests": None, "seeds": (42,)}
        self.session = Session.create(task, **usual, runs=where / "runs")  # type: ignore[arg-type]
        self.path = self.session.folder.ledger
        self.whole = self.path.read_bytes()

    def run(self, dice: random.Random) -> None:
        self.path.write_bytes(mutate(dice, self.whole))
        try:
            self.session.read()
        finally:
            self.path.write_bytes(self.whole)


class Checkpoint:
    """A small model's checkpoint, as a training writes it."""

    def __init__(self, where: Path):
        self.source, self.run_config = where / "source.py", where / "run.json"
        self.source.write_bytes((ROOT / "templates" / "custom_pretrain.py").read_bytes())
        sizes = {"n_layer": "1", "n_embd": "8", "n_head": "2", "block_size": "8"}
        config = resolve(load_profile("smoke"), seed=1, device="cpu", overridden=sizes)
        self.run_config.write_bytes(msgspec.json.encode(config))
        from harness.script import load_script

        script = load_script(self.source)
        model = script.build_model(script.load_settings(str(self.run_config)))
        buffer = io.BytesIO()
        torch.save({"model": model.state_dict(), "step": 1}, buffer)
        self.whole = buffer.getvalue()

    def run(self, dice: random.Random) -> None:
        load_checkpoint(self.source, self.run_config, io.BytesIO(mutate(dice, self.whole)))


class Weights:
    """The same as the evaluator reads it, outside of every sandbox: the file changed, or what its archive describes."""

    def __init__(self, where: Path):
        self.path, self.whole = where / "ckpt.pt", Checkpoint(where).whole
        with zipfile.ZipFile(io.BytesIO(self.whole)) as archive:
            self.entries = {entry: archive.read(entry) for entry in archive.infolist()}

    def run(self, dice: random.Random) -> None:
        self.path.write_bytes(mutate(dice, self.whole) if dice.random() < 0.3 else self._described_otherwise(dice))
        try:
            with read_weights(self.path) as weights, weights.opened() as copy:
                torch.load(copy, weights_only=True)
        finally:
            self.path.unlink()

    def _described_otherwise(self, dice: random.Random) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for entry, content in self.entries.items():
                described = entry.filename.endswith("data.pkl")
                archive.writestr(entry.filename, mutate(dice, content) if described else content)
        return buffer.getvalue()


Loader = Task | Ledger | Checkpoint | Weights

EXPECTED: dict[type, type[Exception]] = {
    Task: LinbenchError,
    Ledger: LinbenchError,
    Checkpoint: Exception,
    Weights: Unreadable,
}
"""What a loader may raise. A checkpoint's comes from torch, in the process of the agent's code, and is reported."""


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def main() -> int:
    """Run the cases in turn and print how they ended."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _took_too_long)
    ended, started = Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as where:
        makers: list[Callable[[Path], Loader]] = [Task, Ledger, Checkpoint, Weights]
        loaders = [make(Path(where)) for make in makers]
        before = snapshot(Path(where))
        for number in range(asked.count):
            loader = loaders[number % len(loaders)]
            ended[one_case(loader, f"{asked.seed}:{number}")] += 1
        assert snapshot(Path(where)) == before, "a loader changed a file"
    for what, count in sorted(ended.items()):
        print(f"{what:40} {count:,}")
    print(f"{asked.count:,} files in {time.monotonic() - started:.0f} s")
    return 0


def one_case(loader: Loader, case: str) -> str:
    """How a case ended."""
    name = type(loader).__name__
    signal.alarm(SECONDS)
    try:
        loader.run(random.Random(case))
    except EXPECTED[type(loader)] as refusal:
        str(refusal).encode("utf-8", "backslashreplace")
        return f"{name} refused"
    except BaseException:
        print(f"case {case} of {name}", file=sys.stderr)
        raise
    finally:
        signal.alarm(0)
    return f"{name} loaded"


def _took_too_long(*_: object) -> None:
    raise BaseException(f"not done in {SECONDS} seconds")  # no loader may swallow it


if __name__ == "__main__":
    sys.exit(main())
