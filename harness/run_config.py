"""The run config: everything that the training script is told, in one flat JSON file. Its only other reader is scoring.

The script reads the same keys by name; tests/test_contracts.py holds the two together.
"""

import hashlib
from typing import Any

import msgspec


class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Model sizes, data files, training settings and output files of one run."""

    block_size: int
    """Tokens in a training window (T)."""
    vocab_size: int
    """Rows of the token embedding; at least the tokenizer's number of tokens."""
    n_layer: int
    n_head: int
    n_embd: int
    """Channels of the residual stream (C)."""
    dropout: float = 0.0
    """Probability; 0 means off."""
    bias: bool = False
    """Whether linear maps and norms have one."""

    seed: int
    """Of the weights, the order of the data and dropout."""
    device: str
    """"cpu" or "cuda"."""
    dtype: str
    """"float32", or "bfloat16" for autocast."""
    micro_batch_size: int
    """Windows in one forward and backward pass (B)."""
    gradient_accumulation_steps: int
    """Micro-batches in one optimizer step, over all GPUs together."""
    max_iters: int
    """Optimizer steps."""
    learning_rate: float
    """Highest, after warm-up."""
    min_lr: float
    """Lowest, at and after lr_decay_iters."""
    warmup_iters: int
    """Optimizer steps of linear warm-up."""
    lr_decay_iters: int
    """Optimizer step at which the cosine reaches min_lr."""
    weight_decay: float
    """On matrices."""
    beta1: float = 0.9
    beta2: float = 0.95
    grad_clip: float = 1.0
    """Largest L2 norm of all gradients together; 0 means off."""
    eval_interval: int
    """Optimizer steps between two lines of metrics."""
    eval_iters: int
    """Micro-batches of held-out training text in one evaluation."""
    log_interval: int
    """Optimizer steps between two progress lines."""
    checkpoint_interval: int
    """Optimizer steps between two checkpoints; there is always one at the end."""

    train_files: tuple[str, ...] = ()
    """Files of little-endian uint16 tokens."""
    dev_files: tuple[str, ...] = ()
    """Held-out training text, for progress lines."""
    metrics_file: str = ""
    checkpoint_file: str = ""


PATHS = ("train_files", "dev_files", "metrics_file", "checkpoint_file")
"""The keys that say where, not what: they differ from machine to machine and stay out of the hash."""


def without_paths(config: RunConfig) -> dict[str, Any]:
    """What a run does, apart from where its files lie."""
    return {key: value for key, value in msgspec.to_builtins(config).items() if key not in PATHS}


def config_sha256(config: RunConfig) -> str:
    """Hash of what a run does: equal for two runs under equal conditions, on any machine."""
    canonical = msgspec.json.encode(without_paths(config), order="sorted")
    return hashlib.sha256(canonical).hexdigest()
