"""Finding and loading tasks: a folder with task.yaml, description.md and published.csv becomes one LoadedTask."""

import shlex
import warnings
from pathlib import Path

import msgspec
from msgspec import Struct

from sandbox.errors import EditRefused, TaskError, UsageError, nearest
from sandbox.paths import tasks_dir, templates_dir
from sandbox.published import PublishedRow, parse_published
from sandbox.strict_yaml import decode_yaml
from sandbox.task_schema import Task


class LoadedTask(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a session needs of a task, so that the folder may change or vanish later."""

    task: Task
    """What task.yaml says."""
    folder: str
    """Where it was loaded from."""
    template: str
    """The untouched script."""
    description: str = ""
    """The text of description.md; empty where there is none."""
    published: tuple[PublishedRow, ...] = ()
    """The rows of published.csv."""

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives an equal task."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "LoadedTask":
        """The task that `to_json` was called on. Raises msgspec.DecodeError on anything else."""
        return msgspec.json.decode(text, type=cls)


def list_tasks() -> list[str]:
    """Ids of the tasks that ship, sorted."""
    return sorted(file.parent.name for file in tasks_dir().glob("*/task.yaml"))


def load_task(id_or_path: str) -> LoadedTask:
    """Load a shipped task by its id, or any folder of that shape by its path.

    Raises UsageError for an unknown task and TaskError for a folder that is not a lawful task.
    """
    if id_or_path in list_tasks():
        return load_folder(tasks_dir() / id_or_path)
    folder = Path(id_or_path)
    if not folder.is_dir():
        alternatives = nearest(id_or_path, list_tasks())
        raise UsageError(f"no task or folder {id_or_path!r}. {alternatives}", run="linbench tasks")
    try:
        loaded = load_folder(folder.resolve())
        _check_with_guards(loaded)
    except TaskError as error:
        error.run = error.run or f"linbench start {shlex.quote(id_or_path)}"  # once it is mended
        raise
    return loaded


def load_folder(folder: Path) -> LoadedTask:
    """Load the task in `folder`. Raises TaskError naming the file and the path in it."""
    file = folder / "task.yaml"
    task = decode_yaml(_read(file), Task, file)
    template_file = _template_file(task, folder)
    template = _read(template_file)
    _check_template(template, template_file)
    _check_regions(task, template, file)
    description = folder / "description.md"
    published = folder / "published.csv"
    return LoadedTask(
        task,
        str(folder),
        template,
        _read(description) if description.exists() else "",
        _published_rows(task, published) if published.exists() else (),
    )


def find_baseline(loaded: LoadedTask, name: str) -> Path:
    """The file of a task's baseline: in its baselines/ folder, else in templates/.

    Raises UsageError for an unknown name and TaskError for a file that is not there.
    """
    files = {baseline.name: baseline.file for baseline in loaded.task.baselines}
    if name not in files:
        raise UsageError(f"no baseline {name!r} in {loaded.task.id}. {nearest(name, files)}")
    places = [Path(loaded.folder, "baselines", files[name]), templates_dir() / files[name]]
    for place in places:
        if place.is_file():
            return place
    raise TaskError(f"the file of the baseline {name!r} is in neither place: {places[0]}, {places[1]}.")


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TaskError(f"{file}: not UTF-8: byte {error.start} is {error.object[error.start]:#04x}.") from error
    except OSError as error:
        raise TaskError(f"{file}: cannot be read: {error.strerror}.", run="linbench tasks") from error


def _template_file(task: Task, folder: Path) -> Path:
    places = [folder / task.template, templates_dir() / task.template]
    for place in places:
        if place.is_file():
            return place
    names = {file.name for place in (folder, templates_dir()) for file in place.glob("*.py")}
    raise TaskError(
        f"{folder / 'task.yaml'}: template: no file {task.template!r} in {places[0].parent} or {places[1].parent}. "
        f"{nearest(task.template, sorted(names))}"
    )


def _check_template(template: str, file: Path) -> None:
    if "\r" in template:
        line = template[: template.index("\r")].count("\n") + 1
        raise TaskError(f"{file}: line {line}: a carriage return; save the file with LF line ends.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(template, str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # CPython's parser raises each of these
        line_number = getattr(error, "lineno", None)
        raise TaskError(f"{file}: not a Python script: {error}", line=line_number) from error


def _check_regions(task: Task, template: str, file: Path) -> None:
    total = template.count("\n") + (not template.endswith("\n"))
    before = 0
    for index, region in enumerate(task.regions):
        where = f"{file}: regions[{index}]: {region.name!r}, lines {region.first}..{region.last},"
        if not 1 <= region.first <= region.last:
            raise TaskError(f"{where} are no range: lines count from 1, and the last is not before the first.")
        if region.last > total:
            raise TaskError(f"{where} ends after line {total}, the last one of {task.template}.")
        if region.first <= before:
            above = task.regions[index - 1].name
            raise TaskError(f"{where} must lie below {above!r}, which ends at line {before}: order regions by line.")
        before = region.last


def _check_with_guards(loaded: LoadedTask) -> None:
    """The untouched script must pass the guards, or no edit ever would. Tests hold the shipped tasks to this."""
    from sandbox.document import Document, Frame
    from sandbox.guards.check import check

    frame = Frame(loaded.task.file, loaded.task.regions, loaded.template)
    try:
        check(Document.original(frame), loaded.task.overrides, loaded.task.policy)
    except EditRefused as error:
        place = "" if error.line is None else f"line {error.line}: "
        message = f"{loaded.folder}: the template {loaded.task.template} breaks the task's own rules: {place}{error}"
        raise TaskError(message, line=error.line, column=error.column) from error


def _published_rows(task: Task, file: Path) -> tuple[PublishedRow, ...]:
    if task.published is None:
        raise TaskError(
            f"{file.parent / 'task.yaml'}: the key 'published' is missing: it names the source of {file.name}."
        )
    return parse_published(_read(file), [metric.name for metric in task.metrics], file)
