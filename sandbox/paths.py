"""The one place that knows where things lie, in a checkout and in an installed wheel."""

import os
from dataclasses import dataclass
from pathlib import Path

from harness.run_folder import RunFolder

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent


def _data_folder(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _CHECKOUT / name


def tasks_dir() -> Path:
    """The folder of the tasks that ship with linbench."""
    return _data_folder("tasks")


def templates_dir() -> Path:
    """The folder of the scripts that agents edit and of the drop-in mechanisms."""
    return _data_folder("templates")


def runs_dir() -> Path:
    """The folder that sessions are written to: LINBENCH_RUNS, else ./runs."""
    return Path(os.environ.get("LINBENCH_RUNS") or "runs").resolve()


@dataclass(frozen=True, slots=True)
class SessionFolder:
    """`runs/<session>/`: owns every path of a session."""

    root: Path

    @property
    def name(self) -> str:
        """The session's name: its folder's."""
        return self.root.name

    @property
    def ledger(self) -> Path:
        """The only state: one JSON line an event."""
        return self.root / "ledger.jsonl"

    @property
    def lock(self) -> Path:
        """Held while an event is appended."""
        return self.root / "ledger.lock"

    def workspace(self, file: str) -> Path:
        """The script that the agent may also change with its own editor."""
        return self.root / "workspace" / Path(file).name

    @property
    def synced(self) -> Path:
        """Which event the workspace file was last written for, and its sha256."""
        return self.root / "workspace" / ".synced.json"

    def test(self, number: int) -> RunFolder:
        """The folder of test `number`; its lock is that of the whole test."""
        return RunFolder(self.root / "tests" / str(number))

    def run(self, number: int, seeds: tuple[int, ...], seed: int) -> RunFolder:
        """The folder that one of a test's seeds runs in: the test's own for the first, one inside it for any other."""
        folder = self.test(number)
        return folder if seed == seeds[0] else folder.of_seed(seed)
