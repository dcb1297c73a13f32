"""Where prepared data sets live: one folder each under LINBENCH_DATA, else ~/.cache/linbench/data."""

import os
import re
from pathlib import Path

from harness.data.errors import DataError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def data_root() -> Path:
    """The folder of all prepared data sets; it need not exist yet."""
    chosen = os.environ.get("LINBENCH_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "linbench" / "data"


def dataset_folder(name: str) -> Path:
    """The folder of the data set `name`, prepared or not. Raises DataError for a name that no folder can have."""
    if not _NAME.fullmatch(name):
        raise DataError(
            f"{name!r} cannot name a data set: use 1 to 64 letters, digits, dots, dashes and underscores, "
            "beginning with a letter or digit.",
            run="linbench data list",
        )
    return data_root() / name


def make_root() -> Path:
    """Create the data root where it is missing. Raises DataError when that is not allowed."""
    root = data_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(root, str(error.strerror)) from error
    if not os.access(root, os.W_OK | os.X_OK):
        raise _not_writable(root, "permission denied")
    return root


def _not_writable(root: Path, reason: str) -> DataError:
    return DataError(
        f"the data folder {root} cannot be written ({reason}); set LINBENCH_DATA to a folder that can.",
        run="export LINBENCH_DATA=$HOME/linbench-data",
    )
