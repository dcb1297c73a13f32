"""What the checks look at: the script, the settings of the profile, and models at the size of a check.

On a GPU that size is the profile's own width, with few layers; a CPU looks at a narrow model.
"""

import copy
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.preflight.found import CheckFailed
from harness.script import load_script

LAYERS = 4
WINDOW = 128
"""Tokens that a model reads in the quick checks on a CPU."""
LONG_WINDOW = 1024
"""And in those that look at whole windows."""
WIDTH, HEADS, VOCABULARY = 128, 2, 256


def load(source: Path) -> ModuleType:
    """Run the script's definitions. A task may bring any script to edit; only some can be built and scored here."""
    script = load_script(source)
    missing = [name for name in ("load_settings", "build_model", "GPT") if not hasattr(script, name)]
    if missing:
        raise CheckFailed(
            f"the task's script defines no {', '.join(missing)}, so that the harness cannot build and test its model; "
            "edits of it are guarded all the same"
        )
    return script


class Subject:
    """A script and the profile's settings."""

    def __init__(self, script: ModuleType, settings: Any):
        self.script, self.settings = script, settings

    @property
    def on_gpu(self) -> bool:
        """Whether the model runs on a GPU."""
        return str(self.settings.device).startswith("cuda")

    @cached_property
    def small(self) -> Any:
        """The settings of the quick checks: at most 4 layers, and on a CPU of 2 heads of 64 channels, as in GPT-2."""
        return self.sized(block_size=self.settings.block_size if self.on_gpu else min(self.settings.block_size, WINDOW))

    @cached_property
    def long(self) -> Any:
        """The same at the full length of a window; on a CPU up to 1024 tokens, and with 2 layers where it is long."""
        full = self.settings.block_size
        if self.on_gpu or full <= 2 * WINDOW:
            return self.sized(block_size=full)
        return self.sized(block_size=min(full, LONG_WINDOW), n_layer=min(self.settings.n_layer, LAYERS // 2))

    def sized(self, **changes: Any) -> Any:
        """The settings of a small model with some changes."""
        found = copy.copy(self.settings)
        found.n_layer = min(found.n_layer, LAYERS)
        if not self.on_gpu:
            found.vocab_size = min(found.vocab_size, VOCABULARY)
            if found.n_embd > WIDTH:
                found.n_embd, found.n_head = WIDTH, HEADS
        for name, value in changes.items():
            setattr(found, name, value)
        return found

    def build(self, settings: Any) -> Any:
        """The script's model on its device."""
        return self.script.build_model(settings).to(settings.device)
