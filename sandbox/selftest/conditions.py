"""Under which conditions attempts run: a task like the shipped one, at a size that trains in a second, little room."""

from dataclasses import replace

import msgspec

from harness.stages import Placement
from sandbox.conditions import Conditions, conditions
from sandbox.paths import tasks_dir
from sandbox.selftest.attempt import Attempt
from sandbox.tasks import LoadedTask, load_folder

DEFAULT_TASK = "llm-pretrain-linear-attention"
PROFILE = "smoke"

SIZE = {
    "n_layer": 2,
    "n_head": 2,
    "n_embd": 32,
    "block_size": 64,
    "micro_batch_size": 4,
    "max_iters": 60,
    "eval_interval": 60,
    "eval_iters": 1,
    "checkpoint_interval": 60,
    "log_interval": 60,
    "warmup_iters": 0,
    "learning_rate": 3e-3,
}
"""What the task changes about the profile."""

EARNED_NATS = 2.0
"""Validation loss that no honest model of this size reaches in so few steps; less is not earned."""

LIMITS = "memory_bytes=1500000000,tasks=100,disk_bytes=100000000,file_bytes=50000000"
"""What an attempt may use, beside its seconds."""


def task_of(attempt: Attempt) -> LoadedTask:
    """The shipped task of an attempt at this size, without the policy where the attempt is past it."""
    loaded = load_folder(tasks_dir() / (attempt.task or DEFAULT_TASK))
    profiles = msgspec.structs.replace(loaded.task.profiles, adjust={PROFILE: SIZE})
    task = msgspec.structs.replace(loaded.task, profiles=profiles)
    if "policy" in attempt.past:
        task = msgspec.structs.replace(task, policy=None)
    return msgspec.structs.replace(loaded, task=task)


def conditions_of(task: LoadedTask, isolation: str, seconds: int) -> Conditions:
    """The conditions of a test of that task, whose training may take so many seconds; a CPU is enough for that."""
    found = conditions(task.task, PROFILE, 42, {}, isolation=isolation)
    profile = msgspec.structs.replace(found.profile, hours_limit=seconds / 3600)
    config = msgspec.structs.replace(found.config, device="cpu", dtype="float32")
    return replace(found, profile=profile, config=config, placement=Placement())
