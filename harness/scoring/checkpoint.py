"""A trained model from its source snapshot and its checkpoint; the checkpoint is read as data, never unpickled."""

from pathlib import Path
from typing import Any, BinaryIO

import torch

from harness.script import load_script


def load_checkpoint(source: Path, run: Path, checkpoint: Path | BinaryIO) -> tuple[Any, int]:
    """The model in evaluation mode on its device, and the optimizer step it was saved at."""
    script = load_script(source)
    settings = script.load_settings(str(run))
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = script.build_model(settings)
    model.load_state_dict(saved["model"])
    return model.to(settings.device).eval(), int(saved["step"])
