"""The precision that models run in: bf16 under autocast where a run config asks for it, as the training script does."""

import torch


def autocast(device: str, dtype: str) -> torch.autocast:
    """The context for a forward pass on a device ("cpu", "cuda", "cuda:1"); it changes nothing for float32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=dtype == "bfloat16")
