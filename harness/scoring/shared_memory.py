"""The memory that the evaluator and the model's process share: regions of tokens one way, slots of logits the other.

It is a file without a name, whose descriptor the model's process inherits; on Linux it can no longer be cut short,
which would kill the one who reads it.
"""

import fcntl
import mmap
import os
import tempfile

import torch

REGIONS = 3
"""Asks that may be under way: one whose answer is copied, one that is computed, one that waits."""
SLOTS = 2
"""Chunks that may be under way: one is written while the other is read."""
SLOT_BYTES = {"cpu": 16 * 2**20, "cuda": 256 * 2**20}
"""By device; on a GPU large enough that copies run at full speed."""
_TOKEN_BYTES = 4


def create(tokens: int, slot_bytes: int) -> int:
    """The descriptor of a new shared memory."""
    size = _size(tokens, slot_bytes)
    if not hasattr(os, "memfd_create"):  # no Linux
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            return os.dup(file.fileno())
    descriptor = os.memfd_create("linbench-logits", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


def _size(tokens: int, slot_bytes: int) -> int:
    return _slots_begin(tokens) + SLOTS * slot_bytes


def _slots_begin(tokens: int) -> int:
    return -(-REGIONS * 2 * tokens * _TOKEN_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE


class SharedMemory:
    """One side's view: a region holds at most `tokens` tokens and as many places, a slot `slot_bytes` of logits."""

    def __init__(self, descriptor: int, tokens: int, slot_bytes: int, device: str):
        self.tokens, self.slot_bytes = tokens, slot_bytes
        self.bytes = torch.frombuffer(mmap.mmap(descriptor, _size(tokens, slot_bytes)), dtype=torch.uint8)
        first = _slots_begin(tokens)
        self.slots = [self.bytes[first + slot * slot_bytes :][:slot_bytes] for slot in range(SLOTS)]
        numbers = self.bytes[: REGIONS * 2 * tokens * _TOKEN_BYTES].view(torch.int32)
        self.regions = numbers.view(REGIONS, 2, tokens)
        self.pinned = torch.device(device).type == "cuda"
        if self.pinned:  # copies then run at full speed; where the driver refuses, they run
            torch.cuda.cudart().cudaHostRegister(self.slots[0].data_ptr(), SLOTS * slot_bytes, 0)

    def close(self) -> None:
        """Let the driver forget the memory before it is unmapped."""
        if self.pinned:
            torch.cuda.cudart().cudaHostUnregister(self.slots[0].data_ptr())

    def put(self, region: int, tokens_BT: torch.Tensor, places_N: torch.Tensor | None) -> None:
        """Write an ask's tokens and places."""
        self.regions[region, 0, : tokens_BT.numel()] = tokens_BT.flatten()
        if places_N is not None:
            self.regions[region, 1, : len(places_N)] = places_N

    def get(self, region: int, rows: int, length: int, places: int | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """An ask's tokens (rows, length) and places (places,), as copies in int64."""
        tokens_BT = self.regions[region, 0, : rows * length].view(rows, length).long()
        return tokens_BT, None if places is None else self.regions[region, 1, :places].long()

    def rows_a_chunk(self, width: int, dtype: torch.dtype) -> int:
        """Rows of logits that a slot holds; 0 where it holds none."""
        return self.slot_bytes // (width * dtype.itemsize)

    def chunk(self, number: int, rows: int, width: int, dtype: torch.dtype) -> torch.Tensor:
        """Where the chunk of that number lies: (rows, width)."""
        return self.slots[number % SLOTS][: rows * width * dtype.itemsize].view(dtype).view(rows, width)
