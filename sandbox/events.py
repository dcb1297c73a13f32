"""What can happen in a session. The ledger holds one of these a line; sandbox.state says when each is lawful."""

import math
from typing import Any, Literal

from msgspec import Struct

from sandbox.tasks import LoadedTask


class _Event(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=str.lower):
    """One fact. Its class name in lower case is its `type` in the ledger."""


def _require_finite(metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):  # JSON has no such number, so the event could not be read back
            raise ValueError(f"metric {name!r} is {value}; a test without a finite result has failed")


class Start(_Event, frozen=True):
    """A session was opened; always the first event."""

    task: LoadedTask
    """The whole task, so that a session outlives changes of the task's folder."""
    session: str
    agent: str
    mode: Literal["vanilla", "agent"]
    """vanilla: the first test is final. agent: the agent chooses among its tests."""
    kind: Literal["agent", "vanilla", "baseline"]
    """How the leaderboard lists it."""
    profile: str
    tests: int
    """The budget: how many tests may be spent."""
    seed: int
    """The first seed of each test."""
    version: str
    """Of linbench."""
    seeds: tuple[int, ...] = ()
    """All seeds of each test, the first one included, where there are several."""

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds that each test trains, be it one."""
        return self.seeds or (self.seed,)


class Edit(_Event, frozen=True):
    """The regions' contents changed."""

    summary: str
    contents: tuple[str, ...]
    """The text of every region after the edit, in the template's order."""
    whole: bool
    """Whether the guards found the file whole; False for a stage of a change made with --partial."""
    adopted: bool = False
    """Whether the change was made in the workspace file with another editor."""


class Undo(_Event, frozen=True):
    """The last `steps` text changes were taken back."""

    steps: int


class Redo(_Event, frozen=True):
    """The last `steps` undone changes were made again."""

    steps: int


class Reset(_Event, frozen=True):
    """The regions went back to the template; this too can be undone."""


class Reserve(_Event, frozen=True):
    """A test was begun and is spent, until a commit confirms or a refund returns it."""

    test: int
    revision: int
    """Which revision of the script is tested."""
    source_sha256: str
    """Of that revision's text."""
    profile: str
    seed: int
    config: dict[str, Any]
    """The resolved run config, without paths."""
    config_sha256: str
    gpus: int = 1
    """Processes on each machine, one a GPU."""
    nodes: int = 1
    """Machines that share the run."""
    isolation: str = "none"
    """The sandbox that the agent's code runs in: bubblewrap, landlock or none."""
    reference: bool = False
    """Whether the script is one to compare with, which cannot be submitted: sandbox.rules.is_reference."""
    seeds: tuple[int, ...] = ()
    """All seeds that the test trains, one after the other, where there are several; `seed` is the first."""
    most_numbers: int | None = None
    """In parameters and buffers, that the task allows at this profile; None where it sets no limit."""
    stored: int | None = None
    """Entries of the model's state dict, as the check counted them; None where no check was made."""


class SeedScored(_Event, frozen=True):
    """One seed of a test with several was trained and scored; the next one follows, or the commit."""

    test: int
    seed: int
    metrics: dict[str, float]
    facts: dict[str, Any]
    """As a commit's."""

    def __post_init__(self) -> None:
        _require_finite(self.metrics)


class Resume(_Event, frozen=True):
    """An interrupted test goes on from its last checkpoint."""

    test: int


class Stop(_Event, frozen=True):
    """A test was interrupted by Ctrl-C or SIGTERM, with a checkpoint that it can go on from."""

    test: int
    checkpoint_sha256: str
    """Of that checkpoint."""


class Commit(_Event, frozen=True):
    """A test ended with the agent's own result, good or bad."""

    test: int
    status: Literal["done", "failed", "invalid"]
    """invalid: it was trained and scored, and its figures prove nothing."""
    reason: str | None
    """Why it failed or is invalid; None when it is done."""
    metrics: dict[str, float]
    """Of a test that is done; nothing else can be ranked or submitted."""
    facts: dict[str, Any]
    """What was measured on the side: hash of the data, seconds, tokens/s, parameters."""

    def __post_init__(self) -> None:
        _require_finite(self.metrics)
        if self.status == "invalid" and self.metrics:
            raise ValueError("an invalid test has no metrics")


class Score(_Event, frozen=True):
    """A finished test's checkpoint was scored again; what was missing is there now."""

    test: int
    metrics: dict[str, float]
    by_seed: dict[int, dict[str, float]] = {}
    """The same of each seed, where there are several: `metrics` are their means."""

    def __post_init__(self) -> None:
        for metrics in (self.metrics, *self.by_seed.values()):
            _require_finite(metrics)


class Refund(_Event, frozen=True):
    """A test was stopped by a fault of the machine and costs nothing."""

    test: int
    reason: str
    detail: str
    resumable: bool
    """Whether a checkpoint remains that the test can go on from."""
    checkpoint_sha256: str | None = None
    """Of that checkpoint; None where there is none, or an earlier version recorded none."""


class Submit(_Event, frozen=True):
    """A test was made final; the session is closed."""

    test: int
    row: dict[str, Any]
    """The leaderboard's row."""
    metrics: dict[str, float] = {}
    """What was hidden until now."""
    by_seed: dict[int, dict[str, float]] = {}
    """The same of each seed, where there are several: `metrics` are their means."""

    def __post_init__(self) -> None:
        for metrics in (self.metrics, *self.by_seed.values()):
            _require_finite(metrics)


Event = Start | Edit | Undo | Redo | Reset | Reserve | SeedScored | Resume | Stop | Commit | Score | Refund | Submit
TextChange = Edit | Undo | Redo | Reset
