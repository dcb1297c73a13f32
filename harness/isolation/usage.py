"""What a process and everything that it started use, seen from outside in /proc, against its limits."""

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.isolation.confinement import Confinement

LOOK_SECONDS = 0.5
"""Between two looks at processes and memory."""

DISK_LOOK_SECONDS = 30.0
"""Between two walks through the folders, unless the disk's free space shrinks by an eighth of the limit."""

MOST_LEVELS = 64
"""Of folders in each other; compilers' caches have a handful."""

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> list[int]:
    """The living processes below a process, children before their own; empty where /proc does not tell."""
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def children(pid: int) -> Iterator[int]:
    """The processes that a process has started, or that came to it as orphans, and that are not buried."""
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return


def _read(path: str) -> str:
    """The text of a file of /proc; empty when its process has just ended."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory of these processes; pages that they share count once for each."""
    fields = [_read(f"/proc/{pid}/statm").split() for pid in pids]
    return sum(int(field[1]) for field in fields if field) * PAGE_BYTES


def proportional_bytes(pids: Iterable[int]) -> int:
    """Memory of these processes, shared pages divided among those that share them."""
    lines = [line for pid in pids for line in _read(f"/proc/{pid}/smaps_rollup").splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def tasks(pids: Iterable[int]) -> int:
    """Processes and threads."""
    count = 0
    for pid in pids:
        try:
            count += len(os.listdir(f"/proc/{pid}/task"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return count


def disk_bytes(folders: Iterable[Path]) -> int | None:
    """What the files in these folders occupy; a file with two names counts once.

    None where they are nested too deep to be looked at: the paths would be longer than the system takes.
    """
    seen: dict[tuple[int, int], int] = {}
    waiting = [(str(folder), 0) for folder in folders]
    while waiting:
        folder, level = waiting.pop()
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                if level == MOST_LEVELS:
                    return None
                waiting.append((entry.path, level + 1))
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    """What lies in a folder; nothing where it has just gone, or is closed."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


class UsageWatch:
    """Looks now and then at what a confined process uses; `over` says which limit it passed."""

    def __init__(self, pid: int, confinement: Confinement):
        self.pid, self.limits = pid, confinement.limits
        self.folders = [*confinement.writable, confinement.temporary]
        self.used_before = disk_bytes(self.folders) or 0
        self.next_look = self.next_walk = 0.0
        self.free = 0
        self.over: str | None = None

    def look(self) -> bool:
        """Whether a limit has been passed; cheap to ask often."""
        now = time.monotonic()
        if self.over is None and now >= self.next_look:
            self.next_look = now + LOOK_SECONDS
            self.over = self._processes() or self._disk(now)
        return self.over is not None

    def _processes(self) -> str | None:
        pids = [self.pid, *descendants(self.pid)]
        memory, running = resident_bytes(pids), tasks(pids)
        if memory > self.limits.memory_bytes:
            memory = proportional_bytes(pids)  # it takes longer, and counts a page that processes share once
        if memory > self.limits.memory_bytes:
            return f"it used {_gib(memory)} of memory; its limit is {_gib(self.limits.memory_bytes)}"
        if running > self.limits.tasks:
            return f"it ran {running} processes and threads; its limit is {self.limits.tasks}"
        return None

    def _disk(self, now: float) -> str | None:
        status = os.statvfs(self.folders[0])
        free = status.f_bavail * status.f_frsize
        if now < self.next_walk and self.free - free < self.limits.disk_bytes / 8:
            return None
        self.next_walk, self.free = now + DISK_LOOK_SECONDS, free
        there = disk_bytes(self.folders)
        if there is None:
            return f"it nested folders more than {MOST_LEVELS} levels deep"
        used = there - self.used_before
        if used <= self.limits.disk_bytes:
            return None
        return f"it wrote {_gib(used)} of files; its limit is {_gib(self.limits.disk_bytes)}"


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
