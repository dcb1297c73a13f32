"""A switch for what linbench adds to flash-linear-attention's registry of backends, for comparisons with FLA alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH = "LINBENCH_FLA_BACKENDS"
"""The environment variable that FLA's registry reads at every call: 0 leaves our backends out."""


@contextmanager
def fla_as_shipped() -> Iterator[None]:
    """Let FLA run on its own kernels meanwhile, in every thread of this process."""
    before = {SWITCH: os.environ[SWITCH]} if SWITCH in os.environ else {}
    os.environ[SWITCH] = "0"
    try:
        yield
    finally:
        del os.environ[SWITCH]
        os.environ.update(before)
