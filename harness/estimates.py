"""What a profile costs, by arithmetic alone: parameters, tokens, operations, memory, hours. Torch-free.

The figures are those of the untouched script, softmax attention and all.
"""

from dataclasses import dataclass

from harness.run_config import RunConfig

PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "H800": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bf16 operations a second of a GPU whose name contains the key, by the makers' data sheets."""

UTILISATION = 0.40
"""The share of the peak that an hour's estimate counts on."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One run of a profile."""

    parameters: int
    """Learned positions left out, as GPT-2's sizes are given."""
    tokens: int
    """Training tokens."""
    flops: float
    """Floating-point operations of the training, forward and backward."""
    memory_bytes: int
    """Of one GPU: weights, gradients, AdamW's two moments in fp32, and the activations of one micro-batch."""


def parameters(config: RunConfig) -> int:
    """Embedding V C, each block 12 C^2 and two norms of C, the last norm of C; biases where the config has them."""
    width = config.n_embd
    matrices = config.vocab_size * width + 12 * config.n_layer * width**2
    norms = (2 * config.n_layer + 1) * width
    biases = (config.n_layer * 9 * width + norms) if config.bias else 0
    return matrices + norms + biases


def flops_per_token(config: RunConfig) -> float:
    """6 operations a parameter and token, and 12 L C T for attention's two products with T keys.

    Source: Chowdhery et al. 2022, PaLM, appendix B.
    """
    return 6.0 * parameters(config) + 12.0 * config.n_layer * config.n_embd * config.block_size


def tokens_per_step(config: RunConfig) -> int:
    """Tokens in one optimizer step, over all GPUs together."""
    return config.micro_batch_size * config.gradient_accumulation_steps * config.block_size


def cost(config: RunConfig) -> Cost:
    """The cost of a whole run."""
    tokens = tokens_per_step(config) * config.max_iters
    here = config.micro_batch_size * config.block_size
    activations = here * (config.n_layer * 34 * config.n_embd + 8 * config.vocab_size)
    states = 16 * (parameters(config) + config.block_size * config.n_embd)
    return Cost(parameters(config), tokens, flops_per_token(config) * tokens, states + activations)


def peak_flops(gpu: str) -> float | None:
    """The peak of a GPU by its name; None where it is not known."""
    return next((peak for name, peak in PEAK_FLOPS.items() if name in gpu), None)


def hours(config: RunConfig, gpus: list[str]) -> float | None:
    """Estimated training time on these GPUs; None without GPUs or with ones that are not known."""
    peaks = [peak_flops(gpu) for gpu in gpus]
    known = [peak for peak in peaks if peak is not None]
    if not known or len(known) < len(peaks):
        return None
    return cost(config).flops / (UTILISATION * sum(known)) / 3600


def utilisation(config: RunConfig, tokens_per_second: float, gpus: list[str]) -> float | None:
    """Model FLOPs utilisation (MFU): operations that the model needs a second over the GPUs' peak.

    The numerator counts the untouched model of this size, so that mechanisms are compared by tokens per second alone.
    """
    peaks = [peak_flops(gpu) for gpu in gpus]
    known = [peak for peak in peaks if peak is not None]
    if not known or len(known) < len(peaks):
        return None
    return flops_per_token(config) * tokens_per_second / sum(known)
