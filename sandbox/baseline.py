"""`linbench baseline NAME`: one known mechanism through the commands that an agent would use, start to submit."""

from collections.abc import Callable
from pathlib import Path

from sandbox.conditions import conditions
from sandbox.editor import edit
from sandbox.errors import UsageError, nearest
from sandbox.events import Edit
from sandbox.figures import number
from sandbox.operations import Replace
from sandbox.session import Session
from sandbox.state import SessionState
from sandbox.submission import submit
from sandbox.tasks import LoadedTask, find_baseline, list_tasks, load_task
from sandbox.trial import run_test


def find_task_of(name: str) -> tuple[LoadedTask, Path]:
    """The shipped task that has a baseline of this name, and its file. Raises UsageError with the nearest name."""
    loaded = [load_task(task) for task in list_tasks()]
    names = {baseline.name: task for task in loaded for baseline in task.task.baselines}
    if name not in names:
        raise UsageError(f"no baseline {name!r}. {nearest(name, names)}", run="linbench tasks")
    return names[name], find_baseline(names[name], name)


def run_baseline(
    session: Session, file: Path, overridden: dict[str, str], isolation: str, say: Callable[[str], None]
) -> SessionState:
    """Edit, check, test and submit in a fresh session. Raises what those steps raise."""
    state = session.read()
    index = state.document.region_named(file.parent.name)
    assert index is not None, f"{file} lies in a folder that is named after no region"
    lines = state.document.ranges[index]
    task, start = state.task.task, state.start
    with session.transact() as transaction:
        content = file.read_text(encoding="utf-8")
        operation = Replace(lines.first, lines.last, content)
        made = edit(transaction.state.document, operation, task.overrides, policy=task.policy)
        transaction.append(Edit(made.summary, made.document.contents, made.whole))
    say(made.summary)
    test = run_test(session, conditions(task, start.profile, start.seed, overridden, isolation=isolation))
    found = ", ".join(f"{name} {number(value)}" for name, value in (test.metrics or {}).items())
    say(f"Test {test.number} is done: {found}.")
    return submit(session, test.number)[0]
