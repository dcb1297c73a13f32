"""What only a scoring process may read: the validation tokens of a data set."""

import numpy as np

from harness.data import pydocs


def validation_tokens(name: str) -> np.ndarray:
    """All validation tokens of the data set `name`: (tokens,) uint16. Raises DataError when it is not prepared."""
    if name == "pydocs":
        return pydocs.tokens(pydocs.splits()["validation"])
    from harness.data.dataset import open_dataset

    files = open_dataset(name).validation_files()
    return np.concatenate([np.memmap(file, dtype="<u2", mode="r") for file in files])
