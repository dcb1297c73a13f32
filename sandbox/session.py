"""A session on disk: read its state, or change it in a transaction that holds its lock.

The order of effects makes every crash harmless: first the event, on disk; then the workspace file, which follows it.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sandbox import __version__
from sandbox.document import Document
from sandbox.errors import UsageError
from sandbox.events import Start
from sandbox.fold import fold
from sandbox.ledger import EMPTY, Ledger, Reading, sync_folder
from sandbox.locks import cannot_write, hold
from sandbox.paths import SessionFolder
from sandbox.seeds import require_seeds
from sandbox.state import SessionState
from sandbox.tasks import LoadedTask
from sandbox.transaction import Transaction
from sandbox.workspace import Workspace


class Session:
    """`runs/<session>/`."""

    def __init__(self, folder: SessionFolder):
        self.folder = folder
        self._ledger = Ledger(folder.ledger)
        self._reported_torn = False

    @property
    def name(self) -> str:
        """The session's name: its folder's."""
        return self.folder.name

    @classmethod
    def create(
        cls,
        task: LoadedTask,
        *,
        agent: str,
        mode: Literal["vanilla", "agent"],
        kind: Literal["agent", "vanilla", "baseline"],
        profile: str,
        tests: int | None,
        seeds: tuple[int, ...],
        runs: Path,
    ) -> "Session":
        """Open a session, or leave nothing behind. tests=None means the task's budget; every test trains all `seeds`.

        Raises UsageError for a budget or seed that cannot be, and MachineFault for a folder that cannot be written.
        """
        budget = _budget(task, mode, tests)
        require_seeds(seeds)
        several = seeds if len(seeds) > 1 else ()
        try:
            runs.mkdir(parents=True, exist_ok=True)
            name = _claim_name(task.task.id, runs)
            _build(runs, name, Start(task, name, agent, mode, kind, profile, budget, seeds[0], __version__, several))
            sync_folder(runs)
        except OSError as error:
            raise cannot_write(runs, error) from error
        return cls(SessionFolder(runs / name))

    def read(self) -> SessionState:
        """The state now, without waiting for anybody. Raises LedgerDamaged."""
        reading = self._ledger.read()
        if reading.torn:  # perhaps only half of what another process is writing at this moment
            with hold(self.folder.lock, f"session {self.name}"):
                reading = self._ledger.read()
            self._report_torn(reading)
        return fold(reading.entries)

    @contextmanager
    def transact(self, timeout: float = 60.0) -> Iterator[Transaction]:
        """Hold the session's lock, with the state as it now is and the workspace file caught up with it."""
        with hold(self.folder.lock, f"session {self.name}", timeout):
            reading = self._ledger.read()
            self._report_torn(reading)
            yield Transaction(self.folder, self._ledger, reading, fold(reading.entries))

    def adopt(self, check: Callable[[Document], object]) -> SessionState:
        """The state now, after taking over what the agent did to the workspace file with its own editor.

        Raises EditRefused, as `check` does, when that change is not lawful; the file then stays as the agent left it.
        """
        state = self.read()
        workspace = Workspace.of(self.folder, state.frame.file)
        if state.closed or workspace.inspect(state.document.text, state.current.seq).status == "same":
            return state
        with self.transact() as transaction:
            transaction.adopt(check)
            return transaction.state

    def _report_torn(self, reading: Reading) -> None:
        if reading.torn and not self._reported_torn:
            self._reported_torn = True
            print(
                f"linbench: the last line of {self.folder.ledger} was cut short by a crash ({reading.torn} bytes); "
                "its event never took effect and is dropped.",
                file=sys.stderr,
            )


def _budget(task: LoadedTask, mode: str, tests: int | None) -> int:
    if mode == "vanilla":
        if tests not in (None, 1):
            raise UsageError(f"A vanilla session has one test, not {tests}.", run="linbench start --mode vanilla")
        return 1
    if tests is not None and tests < 1:
        raise UsageError(f"A session needs at least one test, not {tests}.", run="linbench start --tests 1")
    return task.task.budget.tests if tests is None else tests


def _claim_name(task: str, runs: Path) -> str:
    """Make an empty folder whose name sorts by time.

    20261120-111500-linear-attention-3f2a is a session begun at 11:15:00 UTC and 0x3f2a / 0x10000 of a second.
    """
    while True:
        now = datetime.now(UTC)
        fraction = now.microsecond * 0x10000 // 1_000_000
        name = f"{now:%Y%m%d-%H%M%S}-{task.removeprefix('llm-pretrain-')}-{fraction:04x}"
        try:
            (runs / name).mkdir()
        except FileExistsError:
            continue
        return name


def _build(runs: Path, name: str, start: Start) -> None:
    """Fill a folder beside the claimed one and let it take its place: a session is there whole or not at all."""
    building = SessionFolder(runs / f".new-{name}")
    try:
        building.root.mkdir()
        state = fold(Ledger(building.ledger).append(EMPTY, start).entries)
        Workspace.of(building, start.task.task.file).write(state.document.text, state.current.seq)
        building.root.rename(runs / name)
    except BaseException:
        for left in (building.root, runs / name):
            if left.exists():
                shutil.rmtree(left)
        raise
