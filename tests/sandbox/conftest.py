"""Toy objects, and short real tests of a tiny model, that several test files share."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from harness.launch import Busy, exclusive
from harness.run_config import without_paths
from sandbox.conditions import conditions
from sandbox.discovery import list_sessions
from sandbox.document import Document, Frame
from sandbox.events import Commit, Edit, Event, Reserve, Start
from sandbox.fold import fold
from sandbox.ledger import Entry
from sandbox.published import PublishedRow
from sandbox.row import Row, make_row
from sandbox.schema import Region
from sandbox.session import Session
from sandbox.state import SessionState
from sandbox.task_schema import Budget, Metric, Published, Task
from sandbox.tasks import LoadedTask

CONFIG = {"max_iters": 10, "seed": 42, "micro_batch_size": 8, "gradient_accumulation_steps": 2}
"""The keys of a run config that comparisons look at."""

TINY = {"n_layer": 1, "n_embd": 16, "block_size": 32, "micro_batch_size": 2, "warmup_iters": 2, "max_iters": 10}
TINY |= {"eval_interval": 5, "eval_iters": 2, "checkpoint_interval": 5, "log_interval": 1}
"""The settings of a training of ten steps that takes no time."""

TOY_TEMPLATE = """\
# a toy script
import math

# first region: lines 4 to 5
a = 1

b = 2

# second region: lines 9 to 10
c = 3

print(math.pi, a, b, c)
"""


@pytest.fixture
def toy_task() -> LoadedTask:
    """A script of twelve lines with two regions, `first` (4-5) and `second` (9-10), and a budget of three tests."""
    regions = (Region("first", 4, 5), Region("second", 9, 10))
    task = Task(id="toy", template="toy.py", file="toys/toy.py", regions=regions, budget=Budget(tests=3))
    return LoadedTask(task, "/nowhere", TOY_TEMPLATE)


@pytest.fixture
def new_session(toy_task: LoadedTask, tmp_path: Path) -> Callable[..., Session]:
    """Opens a session on the toy task under tmp_path/runs; keyword arguments replace those of Session.create."""

    def create(**changes: object) -> Session:
        usual = {"agent": "tester", "mode": "agent", "kind": "agent", "profile": "smoke", "tests": None, "seeds": (42,)}
        return Session.create(toy_task, **{**usual, "runs": tmp_path / "runs", **changes})

    return create


@pytest.fixture
def session(new_session: Callable[..., Session]) -> Session:
    """A session on the toy task."""
    return new_session()


@pytest.fixture
def measured_task(toy_task: LoadedTask) -> LoadedTask:
    """The toy task with a primary metric, a second one, and one that is hidden until submission."""
    metrics = (
        Metric("val_loss", "min", primary=True, bound=0.0, about="nats a token"),
        Metric("accuracy", "max"),
        Metric("secret", "max", hidden=True),
    )
    published = (
        PublishedRow("known", "baseline", {"val_loss": 2.5}),
        PublishedRow("best", "agent", {"val_loss": 2.25, "accuracy": 0.5}),
    )
    task = structs.replace(toy_task.task, metrics=metrics, published=Published("A paper, 2020", "gpt-345m", 42))
    return structs.replace(toy_task, task=task, published=published)


@pytest.fixture
def play(measured_task: LoadedTask) -> Callable[..., SessionState]:
    """Folds a start on the measured task and the given events; keyword arguments replace those of the start."""

    def fold_events(*events: Event, **changes: object) -> SessionState:
        usual = {"session": "s1", "agent": "tester", "mode": "agent", "kind": "agent", "profile": "smoke"}
        numbers = {"task": measured_task, "tests": 3, "seed": 42, "version": "0"}
        start = Start(**{**usual, **numbers, **changes})
        return fold(
            Entry(seq, f"2026-11-20T12:00:{seq:02}+00:00", event, "")
            for seq, event in enumerate([start, *events], start=1)
        )

    return fold_events


@pytest.fixture
def run_test(measured_task: LoadedTask) -> Callable[..., list[Event]]:
    """The events of one test: an edit of the first region to `content`, its reservation, and its end."""
    frame = Frame(measured_task.task.file, measured_task.task.regions, measured_task.template)
    original = Document.original(frame)

    def events(
        test: int, content: str, metrics: dict[str, float] | None, data: str = "d" * 64, **changes: object
    ) -> list[Event]:
        document = original.with_content(0, content)
        usual = {"profile": "smoke", "seed": 42, "config": CONFIG, "config_sha256": "c" * 64}
        reserve = Reserve(
            **{**usual, "test": test, "revision": test, "source_sha256": document.revision_sha(), **changes}
        )
        facts = {"data_sha256": data, "seconds": 61.0, "tokens_per_second": 12345.6, "parameters": 1048576}
        if metrics is None:
            end = Commit(test, "failed", "the training loss became nan", {}, {"seconds": 3.0})
        else:
            end = Commit(test, "done", None, metrics, facts)
        return [Edit("Replaced.", document.contents, True), reserve, end]

    return events


@pytest.fixture
def row(play: Callable[..., SessionState], run_test: Callable[..., list[Event]]) -> Callable[..., Row]:
    """Makes the row of a session with one test; keyword arguments change the row."""
    made = make_row(play(*run_test(1, "a = 2\n", {"val_loss": 2.5, "secret": 0.5})), 1, "2026-11-20T12:30:00+00:00")

    def make(loss: float | None = 2.5, **changes: Any) -> Row:
        metrics = {} if loss is None else {"val_loss": loss}
        return structs.replace(made, **{"metrics": metrics, **changes})

    return make


@pytest.fixture
def framed() -> Callable[..., Document]:
    """Makes a document of a text in which lines `#[ name` and `#]` stand before and behind each region.

    A region called `overrides` is of that kind; `requires` gives what each region must define, by its name.
    """

    def make(marked: str, requires: dict[str, tuple[str, ...]] | None = None) -> Document:
        lines: list[str] = []
        regions: list[Region] = []
        opened: tuple[str, int] | None = None
        for line in marked.splitlines(keepends=True):
            if line.strip().startswith("#[ "):
                opened = line.strip()[3:], len(lines) + 1
            elif line.strip() == "#]":
                assert opened is not None
                name, first = opened
                kind = "overrides" if name == "overrides" else "code"
                regions.append(Region(name, first, len(lines), kind, (requires or {}).get(name, ())))
            else:
                lines.append(line)
        return Document.original(Frame("toys/toy.py", tuple(regions), "".join(lines)))

    return make


@pytest.fixture
def tiny_run() -> Callable[..., list[str]]:
    """The options of `linbench test` for ten steps of a tiny model; keyword arguments change its settings."""

    def options(**changes: int) -> list[str]:
        return [word for key, value in {**TINY, **changes}.items() for word in ("--set", f"{key}={value}")]

    return options


@pytest.fixture
def interrupted(linbench: Callable[..., Any], runs: Path, lawless: Path) -> Callable[..., Session]:
    """Starts a session with the given options whose first test, of TINY, is reserved, and whose process is gone."""

    def start(*options: str) -> Session:
        linbench("start", lawless, *options)
        (session,) = list_sessions(runs)
        state = session.read()
        settled = conditions(state.task.task, "smoke", 42, {key: str(value) for key, value in TINY.items()})
        config, digest = without_paths(settled.config), settled.config_sha256
        with session.transact() as transaction:
            transaction.append(Reserve(1, 0, state.document.revision_sha(), "smoke", 42, config, digest))
        session.folder.test(1).root.mkdir(parents=True)
        return session

    return start


@pytest.fixture
def events_of() -> Callable[[Session], list[str]]:
    """The kinds of a ledger's events, in order."""

    def kinds(session: Session) -> list[str]:
        return re.findall(r'"event":\{"type":"(\w+)"', session.folder.ledger.read_text())

    return kinds


@pytest.fixture
def wait_for_line(wait_until: Callable[..., None]) -> Callable[..., None]:
    """Waits until the training of a test that `process` runs has printed `text`."""

    def wait(
        process: "subprocess.Popen[bytes]", session: Session, text: str, number: int = 1, seconds: float = 60
    ) -> None:
        log = session.folder.test(number).log

        def is_there() -> bool:
            if log.is_file() and text in log.read_text():
                return True
            assert process.poll() is None, process.communicate()
            return False

        wait_until(is_there, seconds, "the training did not come so far")

    return wait


@pytest.fixture
def wait_until_idle(wait_until: Callable[..., None]) -> Callable[..., None]:
    """Waits until no process of a test holds its folder: a killed linbench takes its children with it."""

    def wait(session: Session, number: int = 1, seconds: float = 10) -> None:
        def is_idle() -> bool:
            try:
                with exclusive(session.folder.test(number).lock):
                    return True
            except Busy:
                return False

        wait_until(is_idle, seconds, "a process of the test lives on")

    return wait
