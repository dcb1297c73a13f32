"""Under which conditions a test runs: the profile, the device, the data, and the run config that they come to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from harness.data.errors import DataError
from harness.data.training import TrainingData, training_data
from harness.files import IrregularFile, read_regular
from harness.isolation import KINDS, NoIsolation, choose
from harness.isolation.confinement import allowed as operators_limits
from harness.machine import default_device, gpu_names
from harness.profiles import Profile, ProfileError, load_profile, profile_names, resolve
from harness.run_config import RunConfig, config_sha256
from harness.stages import Placement
from sandbox.errors import MachineFault, UsageError, nearest
from sandbox.state import TestState
from sandbox.task_schema import Task

MOST_CONFIG_BYTES = 2**20
"""Of a run.json, which lies where the agent's code can write."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything about a test but its source."""

    profile: Profile
    config: RunConfig
    """Without paths."""
    placement: Placement = field(default_factory=Placement)
    """Which GPUs share the run; its result does not depend on it."""
    isolation: str = "none"
    """The sandbox that the agent's code runs in."""

    @property
    def config_sha256(self) -> str:
        """Hash of the config."""
        return config_sha256(self.config)


def default_profile(task: Task) -> str:
    """The task's profile for this machine."""
    return task.profiles.cuda if default_device() == "cuda" else task.profiles.cpu


def known_profile(name: str) -> Profile:
    """The profile called `name`. Raises UsageError with the nearest one."""
    if name not in profile_names():
        raise UsageError(f"no profile {name!r}. {nearest(name, profile_names())}", run="linbench profiles")
    return load_profile(name)


def check_profile(task: Task, name: str, command: str = "test") -> Profile:
    """The profile called `name`. Raises UsageError when there is none or the task does not allow it.

    `command` is what was typed after `linbench`, for the hint.
    """
    allowed = [profile for profile in profile_names() if not task.profiles.allowed or profile in task.profiles.allowed]
    if name not in allowed:
        fitting = next((other for other in (default_profile(task), *allowed) if other in allowed), None)
        raise UsageError(
            f"no profile {name!r} for the task {task.id}. {nearest(name, allowed)}",
            run=f"linbench {command} --profile {fitting}" if fitting else "linbench profiles",
        )
    return load_profile(name)


def conditions(
    task: Task,
    profile_name: str,
    seed: int,
    overridden: Mapping[str, str],
    asked: Placement | None = None,
    isolation: str | None = None,
    command: str = "test",
) -> Conditions:
    """Resolve a profile for a task on this machine. Raises UsageError for what does not fit.

    `asked` None means as many of this machine's GPUs as the profile's published setting used and can share its batch;
    `isolation` None the strongest that works here. `command` is what was typed after `linbench`, for the hint.
    """
    profile = check_profile(task, profile_name, command)
    device = default_device() if default_device() in profile.devices else profile.devices[0]
    adjust = task.profiles.adjust.get(profile_name, {})
    if device == "cuda" and default_device() == "cpu":
        raise UsageError(
            f"The profile {profile_name!r} needs a GPU, and this machine has none.",
            run=f"linbench {command} --profile {task.profiles.cpu}",
        )
    try:
        config = resolve(profile, seed=seed, device=device, adjust=adjust, overridden=dict(overridden))
        return Conditions(profile, config, place(profile, config, asked), isolate(isolation, command))
    except ProfileError as error:
        raise UsageError(str(error), run=f"linbench {command.partition(' ')[0]} --help") from error


def place(profile: Profile, config: RunConfig, asked: Placement | None) -> Placement:
    """The GPUs that share a run. Raises UsageError when they are not there or cannot share its batch evenly."""
    here, batch = len(gpu_names()) if config.device == "cuda" else 1, config.gradient_accumulation_steps
    most = min(here, profile.gpus)
    chosen = asked or Placement(max(number for number in range(1, most + 1) if batch % number == 0))
    shares = chosen.gpus * chosen.nodes
    if config.device == "cuda" and chosen.gpus > here:
        raise UsageError(f"--gpus {chosen.gpus}: this machine has {here}.", run=f"linbench test --gpus {here}")
    if shares < 1 or batch % shares:
        divisors = [str(number) for number in range(1, batch + 1) if batch % number == 0]
        raise UsageError(
            f"{shares} processes cannot share {batch} micro-batches a step evenly. "
            f"Numbers that can: {', '.join(divisors)}.",
            run="linbench test --gpus 1",
        )
    if chosen.nodes > 1 and chosen.endpoint is None:
        raise UsageError("--nodes needs --rdzv-endpoint HOST:PORT.", run="linbench test --help")
    return chosen


def isolate(asked: str | None, command: str = "test") -> str:
    """The isolation for runs on this machine.

    Raises UsageError where none works and the operator did not say none, and for limits that cannot be meant.
    """
    try:
        operators_limits()
    except ValueError as error:
        raise UsageError(f"{error}.", run=f"linbench {command.partition(' ')[0]} --help") from error
    if asked is not None and asked not in (*KINDS, "auto"):
        raise UsageError(f"no isolation {asked!r}. {nearest(asked, KINDS)}", run=f"linbench {command}")
    try:
        return choose(asked)
    except NoIsolation as error:
        raise UsageError(
            f"The agent's code cannot be isolated: {error}. Install bubblewrap, or let it run with all that you may "
            "do; the row will say so.",
            run=f"linbench {command} --isolation none",
        ) from error


def conditions_of(test: TestState, endpoint: str | None = None) -> Conditions:
    """The conditions that a test was begun with. Raises MachineFault when this linbench no longer knows them.

    `endpoint` is where several machines meet this time.
    """
    try:
        placement = Placement(test.gpus, test.nodes, endpoint)
        config = msgspec.convert(test.config, RunConfig)
        isolation = isolate("none" if test.isolation == "none" else None)
        return Conditions(load_profile(test.profile), config, placement, isolation)
    except (ProfileError, msgspec.ValidationError) as error:
        raise MachineFault(
            f"Test {test.number} was begun by another version of linbench: {error}", run=f"linbench runs {test.number}"
        ) from error


def of_seed(begun: Conditions, seed: int) -> Conditions:
    """The same conditions for another seed of the test."""
    return replace(begun, config=msgspec.structs.replace(begun.config, seed=seed))


def as_it_ran(asked: Conditions, run: Path) -> Conditions:
    """The same with the micro-batches that a run under them, by its run.json, found memory for."""
    try:
        ran = msgspec.json.decode(read_regular(run, MOST_CONFIG_BYTES), type=RunConfig)
    except (FileNotFoundError, IrregularFile, msgspec.MsgspecError, UnicodeDecodeError):  # not as we wrote it
        return asked
    return replace(asked, config=ran) if config_sha256(ran) == asked.config_sha256 else asked


def open_data(conditions: Conditions) -> TrainingData:
    """The profile's data set. Raises MachineFault when it is not prepared, or has more tokens than the model has rows.

    Neither is the agent's to answer for.
    """
    profile, rows = conditions.profile, conditions.config.vocab_size
    try:
        data = training_data(profile.data)
    except DataError as error:
        raise MachineFault(error.message, run=error.run) from error
    if data.vocab_size > rows:
        raise MachineFault(
            f"The data set {data.name} has {data.vocab_size:,} different tokens, and a model of the profile "
            f"{profile.name!r} only {rows:,} rows for them.",
            run=f"linbench test --profile {profile.name} --set vocab_size={data.vocab_size}",
        )
    return data


def parse_settings(pairs: list[str], command: str = "test") -> dict[str, str]:
    """The operator's `--set KEY=VALUE` options. Raises UsageError for one of another form."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise UsageError(
                f"--set {pair!r} is not of the form KEY=VALUE.", run=f"linbench {command} --set max_iters=200"
            )
        settings[key] = value
    return settings
