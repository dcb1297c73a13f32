"""What a session's events amount to: its script, its tests and its budget. sandbox.fold makes it from the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sandbox.document import Document, Frame
from sandbox.events import Start
from sandbox.tasks import LoadedTask


@dataclass(frozen=True, slots=True)
class Revision:
    """The script after one text change."""

    contents: tuple[str, ...]
    whole: bool
    """Whether the guards found it whole."""
    summary: str
    seq: int
    """The event that made it."""
    time: str


@dataclass(frozen=True, slots=True)
class SeedState:
    """What one seed of a test with several came to."""

    metrics: dict[str, float]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TestState:
    """What is known of one test."""

    __test__: ClassVar[bool] = False  # pytest takes classes of this name for its own

    number: int
    status: Literal["reserved", "done", "failed", "invalid", "refunded"]
    revision: int
    source: str
    """The script's text when the test was reserved."""
    source_sha256: str
    profile: str
    seed: int
    config: dict[str, Any]
    config_sha256: str
    began: str
    """ISO 8601, UTC."""
    ended: str | None = None
    resumes: int = 0
    refunds: int = 0
    """How often it was stopped by the machine; it may have gone on since."""
    gpus: int = 1
    """Processes on each machine, one a GPU."""
    nodes: int = 1
    """Machines that share the run."""
    isolation: str = "none"
    """The sandbox that the agent's code runs in."""
    reference: bool = False
    """Whether the script is one to compare with, which cannot be submitted."""
    metrics: dict[str, float] | None = None
    facts: dict[str, Any] | None = None
    reason: str | None = None
    """Why it failed, is invalid or was refunded."""
    detail: str = ""
    resumable: bool = False
    """Whether a refunded test can go on from a checkpoint."""
    seeds: tuple[int, ...] = ()
    """All of them in the order of their runs, where there are several; `seed` is the first."""
    by_seed: Mapping[int, SeedState] = field(default_factory=dict)
    """The seeds that are trained and scored, where there are several; `metrics` are their means."""
    most_numbers: int | None = None
    """In parameters and buffers, that the task allows at this profile; None means off."""
    stored: int | None = None
    """Entries of the model's state dict, as the check counted them; None where no check was made."""
    stopped_at: str | None = None
    """The sha256 of the checkpoint with which it was stopped last; None where nobody could record it."""
    resumed_from: str | None = None
    """What `stopped_at` was when it went on, until the seed of that checkpoint is scored."""

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds that the test trains, be it one."""
        return self.seeds or (self.seed,)


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session after its last event."""

    start: Start
    began: str
    """ISO 8601, UTC."""
    seq: int
    """Of the last event."""
    frame: Frame
    revisions: tuple[Revision, ...]
    """By revision number; 0 is the template."""
    history: tuple[int, ...] = (0,)
    """The revisions that undo and redo walk along."""
    position: int = 0
    """Where in `history` the script stands."""
    tests: Mapping[int, TestState] = field(default_factory=dict)
    """By number, in the order in which they were begun."""
    submitted: int | None = None
    """The final test; None while the session is open."""
    row: dict[str, Any] | None = None
    """The leaderboard's row of the final test."""

    @property
    def task(self) -> LoadedTask:
        """The task as it was when the session began."""
        return self.start.task

    @property
    def revision(self) -> int:
        """How many text changes there were; `--expect` compares it."""
        return len(self.revisions) - 1

    @property
    def current(self) -> Revision:
        """The script as it now stands."""
        return self.revisions[-1]

    @property
    def document(self) -> Document:
        """The script as it now stands."""
        return self.document_at(self.revision)

    @property
    def whole(self) -> bool:
        """Whether the guards found the script whole."""
        return self.current.whole

    @property
    def undoable(self) -> int:
        """How many changes can be undone."""
        return self.position

    @property
    def redoable(self) -> int:
        """How many undone changes can be made again."""
        return len(self.history) - 1 - self.position

    @property
    def closed(self) -> bool:
        """Whether a test was submitted."""
        return self.submitted is not None

    @property
    def open_test(self) -> TestState | None:
        """The test that is reserved and has not ended."""
        return next((test for test in self.tests.values() if test.status == "reserved"), None)

    @property
    def refunds(self) -> int:
        """How many tests were stopped by the machine and cost nothing."""
        return sum(test.status == "refunded" for test in self.tests.values())

    @property
    def refunds_given(self) -> int:
        """How often any test was stopped by the machine, those that went on since included."""
        return sum(test.refunds for test in self.tests.values())

    @property
    def budget_left(self) -> int:
        """Tests that can still be begun."""
        return self.start.tests - len(self.tests) + self.refunds

    @property
    def actions_left(self) -> int | None:
        """Text changes that can still be made; None means unlimited."""
        actions = self.task.task.budget.actions
        return None if actions is None else actions - self.revision

    def document_at(self, revision: int) -> Document:
        """The script as it was at `revision`."""
        return Document(self.frame, self.revisions[revision].contents)
