"""A checkpoint as the evaluator reads it: as data, and no more of it than the model's own weights.

The model's processes are given a copy that holds these weights and nothing else, and that nobody can change: neither
the optimizer's memory nor a few bytes behind the file's end may carry what was not counted. One process could otherwise
also leave a word there for the next.
"""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from harness.capacity import numbers, overlaps, stored, strange
from harness.files import open_regular
from harness.scoring.logits import NotScorable
from harness.scoring.report import Allowed

_DESCRIPTORS = Path("/proc/self/fd")
"""Through which Linux opens a file once more that has no name."""

_SEALS = "F_SEAL_SEAL", "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_WRITE"


class Unreadable(Exception):
    """The checkpoint holds no weights of a model."""


@contextmanager
def read_weights(checkpoint: Path) -> "Iterator[Weights]":
    """A model's weights from a training's checkpoint. Raises Unreadable, IrregularFile, OSError."""
    with _sealable_file() as copy:
        with open_regular(checkpoint) as file:
            saved = _read(file)
            state = _state_of(saved, os.fstat(file.fileno()).st_size)
            try:
                step = int(saved["step"])
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise Unreadable(f"the checkpoint does not say its step: {error}"[:200]) from error
            weights = Weights(step, numbers(state.values()), stored(state), copy)
            torch.save({"model": _alone(state), "step": step}, copy)
        copy.flush()
        _seal(copy)
        yield weights


@dataclass(frozen=True, slots=True)
class Weights:
    """What a checkpoint holds, and its copy."""

    step: int
    """The optimizer's."""
    numbers: int
    """As a task limits them (harness.capacity)."""
    stored: int
    """Entries of the state dict."""
    copy: BinaryIO

    def require(self, allowed: Allowed) -> None:
        """Raise NotScorable where there are more of them than the task allows, or others than the check had found."""
        if allowed.numbers is not None and self.numbers > allowed.numbers:
            raise NotScorable(
                "too_many_parameters",
                f"its checkpoint holds {self.numbers:,} numbers in parameters and buffers, and {allowed.numbers:,} at "
                "most are allowed",
            )
        if allowed.stored is not None and self.stored != allowed.stored:
            raise NotScorable(
                "parameters_differ",
                f"its checkpoint has {self.stored:,} entries of weights, and the check before the test had found "
                f"{allowed.stored:,}",
            )

    def opened(self) -> BinaryIO:
        """The copy, for reading alone, from its beginning."""
        if _DESCRIPTORS.is_dir():
            return (_DESCRIPTORS / str(self.copy.fileno())).open("rb")
        again = tempfile.TemporaryFile()  # no Linux  # noqa: SIM115
        self.copy.seek(0)
        shutil.copyfileobj(self.copy, again)
        again.seek(0)
        return again


def _read(file: BinaryIO) -> dict[str, Any]:
    """Raises Unreadable."""
    name = _DESCRIPTORS / str(file.fileno())
    mapped = name.exists()  # so that an optimizer's memory is not even read
    try:
        _require_plain(file)
        saved = torch.load(str(name) if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # hostile bytes make the reader fail in many ways
        raise Unreadable(f"the checkpoint cannot be read: {type(error).__name__}: {error}"[:2000]) from error
    if not isinstance(saved, dict):
        raise Unreadable(f"the checkpoint holds a {type(saved).__name__}, not a dictionary")
    return saved


def _require_plain(file: BinaryIO) -> None:
    """Raise ValueError for packed entries: what they grow to is bounded by nothing."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    file.seek(0)
    size = os.fstat(file.fileno()).st_size
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("an entry is compressed")
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("its entries are larger than the file")


def _state_of(saved: dict[str, Any], file_bytes: int) -> dict[str, torch.Tensor]:
    """The weights by name, without what else a tensor can carry along. Raises Unreadable."""
    state = saved.get("model")
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise Unreadable("the checkpoint holds no state dict under 'model'")
    if odd := strange(state):
        raise Unreadable(f"its state dict holds {', '.join(odd[:5])[:200]}, which is no dense tensor")
    bare = {name: tensor.detach() for name, tensor in state.items()}
    apart = {_place(tensor): tensor.nbytes for tensor in bare.values() if not overlaps(tensor)}
    if sum(apart.values()) > file_bytes:
        raise Unreadable("its tensors are views of one another")
    return bare


def _alone(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights without what else lies in their memory; what is shared stays shared."""
    copies: dict[tuple[Any, ...], torch.Tensor] = {}
    for tensor in state.values():
        if _place(tensor) not in copies:
            whole = tensor.nbytes >= tensor.untyped_storage().nbytes()
            copies[_place(tensor)] = tensor if whole else tensor.clone()
    return {name: copies[_place(tensor)] for name, tensor in state.items()}


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.untyped_storage()._cdata, tensor.dtype, tensor.storage_offset(), tensor.shape, tensor.stride()


def _sealable_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("linbench-weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "w+b")
    return tempfile.TemporaryFile()


def _seal(file: BinaryIO) -> None:
    """From now on nobody can write to it, through whatever descriptor."""
    if hasattr(os, "memfd_create"):
        import fcntl

        fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, sum(getattr(fcntl, name) for name in _SEALS))
