"""The run config: everything that the training script is told, in one flat JSON file. Its only other reader is scoring.

The script reads the same keys by name; tests/test_contracts.py holds the two together.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1e30)]
"""A finite number that is not negative."""
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Model sizes, data files, training settings and output files of one run."""

    block_size: Positive
    """Tokens in a training window (T)."""
    vocab_size: Positive
    """Rows of the token embedding; at least the tokenizer's number of tokens."""
    n_layer: Positive
    n_head: Positive
    n_embd: Positive
    """Channels of the residual stream (C)."""
    dropout: Share = 0.0
    """Probability; 0 means off."""
    bias: bool = False
    """Whether linear maps and norms have one."""

    seed: NonNegative
    """Of the weights, the order of the data and dropout."""
    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "bfloat16"]
    """bfloat16 means autocast to it."""
    micro_batch_size: Positive
    """Windows in one forward and backward pass (B)."""
    gradient_accumulation_steps: Positive
    """Micro-batches in one optimizer step, over all GPUs together."""
    max_iters: Positive
    """Optimizer steps."""
    learning_rate: Rate
    """Highest, after warm-up."""
    min_lr: Rate
    """Lowest, at and after lr_decay_iters."""
    warmup_iters: NonNegative
    """Optimizer steps of linear warm-up."""
    lr_decay_iters: NonNegative
    """Optimizer step at which the cosine reaches min_lr."""
    weight_decay: Rate
    """On matrices."""
    beta1: Share = 0.9
    beta2: Share = 0.95
    grad_clip: Rate = 1.0
    """Largest L2 norm of all gradients together; 0 means off."""
    eval_interval: Positive
    """Optimizer steps between two lines of metrics."""
    eval_iters: Positive
    """Micro-batches of held-out training text in one evaluation."""
    log_interval: Positive
    """Optimizer steps between two progress lines."""
    checkpoint_interval: Positive
    """Optimizer steps between two checkpoints; there is always one at the end."""

    train_files: tuple[str, ...] = ()
    """Files of little-endian uint16 tokens."""
    dev_files: tuple[str, ...] = ()
    """Held-out training text, for progress lines."""
    metrics_file: str = ""
    checkpoint_file: str = ""
    config_sha256: str = ""
    """Of what the run learns from, for whoever reads the file."""


PATHS = ("train_files", "dev_files", "metrics_file", "checkpoint_file", "config_sha256")
"""The keys that say where, not what, and the hash: they differ from machine to machine and stay out of the hash."""


def without_paths(config: RunConfig) -> dict[str, Any]:
    """What a run does, apart from where its files lie."""
    return {key: value for key, value in msgspec.to_builtins(config).items() if key not in PATHS}


def halve_micro_batch(config: RunConfig) -> RunConfig | None:
    """The same batches in half as large micro-batches, twice as many; None where one window is left."""
    if config.micro_batch_size % 2:
        return None
    return msgspec.structs.replace(
        config,
        micro_batch_size=config.micro_batch_size // 2,
        gradient_accumulation_steps=config.gradient_accumulation_steps * 2,
        eval_iters=config.eval_iters * 2,
    )


REPORTING = ("eval_interval", "eval_iters", "log_interval", "checkpoint_interval")
"""The keys that change what a run tells, not what it learns."""


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """What two run configs must share to be compared: how a batch is split into micro-batches is not part of it."""
    batch = config["micro_batch_size"] * config["gradient_accumulation_steps"]
    left_out = {*PATHS, *REPORTING, "micro_batch_size", "gradient_accumulation_steps"}
    return {**{key: value for key, value in config.items() if key not in left_out}, "batch_size": batch}


def config_sha256(config: RunConfig) -> str:
    """Hash of what a run learns from: equal for two runs under equal conditions, on any machine."""
    canonical = msgspec.json.encode(comparable(without_paths(config)), order="sorted")
    return hashlib.sha256(canonical).hexdigest()
