"""Code in a sandbox, as real processes: what it cannot use up or leave behind, and how it ends."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.isolation import Limits
from harness.isolation.usage import MOST_LEVELS, disk_bytes
from harness.launch import Exit, Interrupted
from harness.run_folder import RunFolder

SMALL = Limits(memory_bytes=2**30, tasks=64, disk_bytes=8 * 2**20, file_bytes=4 * 2**20)


def test_a_daemon_ends_with_the_run(
    run: Callable[..., Exit], folder: RunFolder, wait_until: Callable[..., None]
) -> None:
    """A process that left its session and its parent writes no more once the run has ended."""
    ended = run(
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True:
                    open("alive", "a").write("x")
                    time.sleep(0.01)
            os._exit(0)
        time.sleep(0.5)
        """
    )
    assert ended.returncode == 0
    size = (folder.root / "alive").stat().st_size
    assert size > 0
    time.sleep(0.2)
    assert (folder.root / "alive").stat().st_size == size


FORKS = """
import os, time
for _ in range(200):
    if os.fork() == 0:
        time.sleep(60)
time.sleep(60)
"""

FILES = """
import time
for number in range(64):
    open(f"file-{number}", "wb").write(bytes(2**20))
time.sleep(60)
"""

MEMORY = """
import os, time
os.fork()
hog = b"x" * (700 * 2**20)
time.sleep(60)
"""


@pytest.mark.parametrize(("code", "limit"), [(FORKS, "processes"), (FILES, "of files"), (MEMORY, "of memory")])
def test_a_limit_ends_it_with_a_reason(run: Callable[..., Exit], code: str, limit: str) -> None:
    """Processes, files and memory without end are stopped, and it is said which it was."""
    ended = run(code, limits=SMALL, timeout_seconds=60)
    assert ended.timed_out
    assert limit in str(ended.over)


def test_one_process_gets_no_more_memory_than_allowed(run: Callable[..., Exit]) -> None:
    """Allocation beyond the limit fails inside, where a traceback can name the line."""
    ended = run("hog = bytearray(2**31)", limits=SMALL)
    assert ended.returncode == 1
    assert "MemoryError" in ended.tail


def test_one_file_grows_no_larger_than_allowed(run: Callable[..., Exit]) -> None:
    """A single huge file is refused by the kernel."""
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nopen('huge', 'wb').write(bytes(2**23))"
    ended = run(code, limits=SMALL)
    assert "File too large" in ended.tail


def test_a_signal_is_reported_as_such(run: Callable[..., Exit]) -> None:
    """A crash inside looks like a crash outside."""
    assert run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").returncode == -signal.SIGSEGV


def test_an_interrupt_lets_it_save(
    run: Callable[..., Exit], folder: RunFolder, wait_until: Callable[..., None]
) -> None:
    """SIGTERM to the parent reaches the code in the sandbox, which has time to save."""
    ready = folder.root / "ready"

    def interrupt() -> None:
        wait_until(ready.exists)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted):
        run(
            """
            import signal, sys, time
            def save(*_):
                open("saved", "w").write("all")
                sys.exit(143)
            signal.signal(signal.SIGTERM, save)
            open("ready", "w")
            time.sleep(60)
            """
        )
    thread.join()
    assert (folder.root / "saved").read_text() == "all"


def test_folders_that_are_too_deep_are_not_counted(tmp_path: Path) -> None:
    """No path reaches what lies in them; a watch takes them for more than is allowed."""
    (tmp_path / "/".join(["d"] * MOST_LEVELS)).mkdir(parents=True)
    (tmp_path / "file").write_bytes(b"x" * 4096)
    assert disk_bytes([tmp_path]) == 4096
    (tmp_path / "/".join(["d"] * (MOST_LEVELS + 1))).mkdir()
    assert disk_bytes([tmp_path]) is None
