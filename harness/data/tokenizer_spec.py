"""A tokenizer as it is asked for: gpt2, bytes, characters, or bpe:N (N tokens, trained on the spot)."""

from harness.data.errors import DataError
from harness.data.tokenizer import LARGEST_VOCABULARY

SMALLEST_BPE = 257
"""All bytes and the end-of-text token."""


def check_spec(spec: str) -> str:
    """Give the spec back in its one spelling. Raises DataError for anything else, naming what there is."""
    if spec in ("gpt2", "bytes", "characters"):
        return spec
    kind, _, size = spec.partition(":")
    if kind == "bpe" and size.isascii() and size.isdigit() and SMALLEST_BPE <= int(size) <= LARGEST_VOCABULARY:
        return f"bpe:{int(size)}"
    raise DataError(
        f"there is no tokenizer {spec!r}. There are: gpt2, bytes, characters, "
        f"bpe:N with N from {SMALLEST_BPE} to {LARGEST_VOCABULARY}, for example bpe:4096.",
        run="linbench data list",
    )
