"""The folder of one test: the one class that owns every path in it. A job folder is the contract between processes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunFolder:
    """`runs/<session>/tests/<n>/`, or any folder of that shape."""

    root: Path
    first: Path | None = None
    """The folder of the test's first seed, where this one is a further seed's; it lies in there."""

    def of_seed(self, seed: int) -> "RunFolder":
        """The folder of a further seed of the same test; the first one has this one."""
        return RunFolder(self.root / f"seed-{seed}", self.root)

    @property
    def source(self) -> Path:
        """The script as it was when the test was reserved."""
        return self.root / "source.py"

    @property
    def diff(self) -> Path:
        """The unified diff of the source against the template."""
        return self.root / "edit.diff"

    @property
    def run(self) -> Path:
        """The resolved run config that the script is given (harness.run_config.RunConfig)."""
        return self.root / "run.json"

    @property
    def preflight(self) -> Path:
        """What the free check before the test found."""
        return self.root / "preflight.json"

    @property
    def metrics(self) -> Path:
        """One JSON line an evaluation step, written by the training process: progress, not a score."""
        return self.root / "metrics.jsonl"

    @property
    def log(self) -> Path:
        """Everything that the training and scoring processes printed."""
        return self.root / "train.log"

    @property
    def checkpoint(self) -> Path:
        """Model, optimizer, step, random states and data position."""
        return self.root / "ckpt.pt"

    @property
    def scores(self) -> Path:
        """What the scoring process measured."""
        return self.root / "scores.json"

    @property
    def result(self) -> Path:
        """The outcome for machines, written once by the parent."""
        return self.root / "result.json"

    @property
    def temporary(self) -> Path:
        """For the temporary files of a sandboxed process; gone when it ends."""
        return self.root / ".tmp"

    @property
    def kernels(self) -> Path:
        """Kernels that a session's checks compiled, and their tuning; each other process gets a copy of its own."""
        return (self.first or self.root).parent / ".kernels"

    @property
    def lock(self) -> Path:
        """Held by the parent and inherited by every process of the run, so that a run never has two writers."""
        return self.root / ".lock"
