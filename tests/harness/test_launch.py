"""Child processes: ended as a whole, watched to their end, and told no more than they need."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import launch
from harness.launch import Busy, Exit, Interrupted, exclusive, run_child

PROCESSES = Path(__file__).parent / "processes"

Wait = Callable[[Callable[[], bool]], None]
Run = Callable[..., Exit]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs Python code as a child in a folder of its own."""
    with exclusive(tmp_path / ".lock") as lock:

        def run(code: str, **changes: Any) -> Exit:
            usual = {"folder": tmp_path, "log": tmp_path / "log", "lock": lock, "device": "cpu"}
            return run_child([sys.executable, "-P", "-c", code], **{**usual, **changes})

        yield run


@pytest.fixture
def start_family(tmp_path: Path, wait_until: Wait) -> Callable[[], tuple[subprocess.Popen[str], int, int]]:
    """Starts a parent that runs `family.py`, as a shell starts a background job: its Ctrl-C is ignored."""

    def start() -> tuple[subprocess.Popen[str], int, int]:
        command = [sys.executable, str(PROCESSES / "launch.py"), str(tmp_path), str(PROCESSES / "family.py")]
        environment = {**os.environ, "PYTHONPATH": str(Path(harness.__file__).parents[1])}
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        finally:
            signal.signal(signal.SIGINT, before)
        wait_until((tmp_path / "pids").exists)
        child, grandchild = map(int, (tmp_path / "pids").read_text().split())
        return parent, child, grandchild

    return start


def test_lines_arrive_one_by_one_in_order(run: Run, tmp_path: Path) -> None:
    """The listener gets each line that the child prints on either stream, and the log holds their bytes."""
    lines: list[str] = []
    ended = run("import sys; print('one'); print('two', file=sys.stderr); print('', end='three')", on_line=lines.append)
    assert (ended.returncode, ended.timed_out) == (0, False)
    assert lines == ["one", "two", "three"]
    assert ended.tail == "one\ntwo\nthree"
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\nthree"


def test_binary_output_is_kept_and_shown_as_text(run: Run, tmp_path: Path) -> None:
    """Bytes that are no text reach the log unchanged and the listener with marks in their place."""
    ended = run(r"import os; os.write(1, b'\xff\x00\x80\n\xe2\x82')")
    assert (tmp_path / "log").read_bytes() == b"\xff\x00\x80\n\xe2\x82"
    assert ended.tail == "�\x00�\n�"


def test_the_log_ends_at_its_limit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that prints more than the limit runs on and is heard; the log stays at the limit, also when run again."""
    monkeypatch.setattr(launch, "LOG_LIMIT", 10_000)
    for _ in range(2):
        ended = run("for n in range(100_000): print('line', n)")
        assert ended.returncode == 0
        assert ended.tail.endswith("line 99998\nline 99999")
        assert (tmp_path / "log").stat().st_size == 10_000


def test_a_line_without_end_fills_no_memory(run: Run) -> None:
    """Of a line of many megabytes the last part is kept."""
    ended = run("import os\nfor _ in range(300): os.write(1, b'x' * 65536)\nos.write(1, b'end')")
    assert ended.tail.endswith("xend")
    assert len(ended.tail) == launch.READ_BYTES


def test_a_child_that_closes_its_output_is_waited_for(run: Run) -> None:
    """A child without stdout and stderr runs to its own end, and its exit code counts."""
    ended = run("import os, time; os.close(1); os.close(2); time.sleep(0.5); os._exit(7)")
    assert ended.returncode == 7
    assert ended.seconds > 0.5


def test_a_silent_child_without_output_still_has_a_time_limit(run: Run) -> None:
    """A child that closed its output ends at the limit like any other."""
    ended = run("import os, time; os.close(1); os.close(2); time.sleep(600)", timeout_seconds=0.5)
    assert ended.timed_out


@pytest.mark.parametrize("ending", ["time.sleep(600)", "\nwhile True: print('still here')"])
def test_a_timeout_ends_the_whole_group(run: Run, wait_for_end: Callable[..., None], ending: str) -> None:
    """At its limit a child, silent or not, is killed together with the process that it started."""
    code = f"import os, time\npid = os.fork()\nif pid == 0: time.sleep(600)\nprint('pid', pid, flush=True); {ending}"
    lines: list[str] = []
    ended = run(code, timeout_seconds=1.0, on_line=lines.append)
    assert (ended.timed_out, ended.returncode) == (True, -signal.SIGKILL)
    assert ended.seconds < 10
    wait_for_end(int(lines[0].split()[1]))


def test_a_background_process_that_holds_the_output_ends_with_the_child(
    run: Run, tmp_path: Path, wait_for_end: Callable[..., None]
) -> None:
    """A child is over when it ends, though a process that it left behind prints into its output for ever."""
    code = "import os\npid = os.fork()\nwhile pid == 0: print('still here')\nopen('pid', 'w').write(str(pid))"
    assert run(code, timeout_seconds=20).returncode == 0
    wait_for_end(int((tmp_path / "pid").read_text()))


def test_a_process_that_left_the_group_keeps_nobody_waiting(
    run: Run, tmp_path: Path, wait_for_end: Callable[..., None]
) -> None:
    """Output that never ends, from a process out of reach, is left unread once the child is over."""
    code = "import os, time\nif os.fork() == 0:\n    os.setsid(); open('pid', 'w').write(str(os.getpid()))\n"
    code += "    while True: print('still here')\nwhile not (os.path.exists('pid') and open('pid').read()): pass"
    assert run(code, timeout_seconds=20).returncode == 0
    wait_for_end(int((tmp_path / "pid").read_text()))  # it finds its output closed


def test_a_listener_that_fails_ends_the_child(run: Run, wait_for_end: Callable[..., None]) -> None:
    """An error in the parent passes through, and the child does not go on without anybody listening."""
    pids: list[int] = []

    def fail(line: str) -> None:
        pids.append(int(line))
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="the terminal is gone"):
        run("import os, time; print(os.getpid(), flush=True); time.sleep(600)", on_line=fail)
    wait_for_end(pids[0])


def test_a_log_that_cannot_be_opened_starts_nothing(run: Run, tmp_path: Path) -> None:
    """Where there is no place for the log, no child is started."""
    with pytest.raises(FileNotFoundError):
        run("open('started', 'w')", log=tmp_path / "missing" / "log")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_ends_the_whole_group(
    start_family: Any, tmp_path: Path, wait_for_end: Callable[..., None], number: signal.Signals
) -> None:
    """Ctrl-C, also in a background job, and SIGTERM let the child save, then end it and the process that it started."""
    parent, child, grandchild = start_family()
    parent.send_signal(number)
    said, _ = parent.communicate(timeout=20)
    assert (parent.returncode, said) == (0, "interrupted\n")
    assert (tmp_path / "saved").exists()
    wait_for_end(child, grandchild)


def test_a_second_interrupt_does_not_wait_for_the_child(run: Run, tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice waits no longer for a child that does not end by itself."""

    def press(line: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    code = (
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('saving', flush=True))\n"
        "print('ready', flush=True)\nwhile True: time.sleep(60)"
    )
    started = time.monotonic()
    with pytest.raises(Interrupted):
        run(code, on_line=press)
    assert time.monotonic() - started < launch.GRACE_SECONDS / 2
    assert (tmp_path / "log").read_text() == "ready\nsaving\n"


def test_the_handlers_of_the_caller_come_back(run: Run) -> None:
    """After a child, Ctrl-C and SIGTERM do again what they did before."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run("pass")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_kill_9_of_the_parent_ends_the_child(
    start_family: Any, tmp_path: Path, wait_for_end: Callable[..., None]
) -> None:
    """The child dies with its parent; while a process that it forked lives on, the folder stays busy."""
    parent, child, grandchild = start_family()
    parent.kill()
    parent.communicate()
    wait_for_end(child)
    assert not (tmp_path / "saved").exists()
    with pytest.raises(Busy, match=tmp_path.name), exclusive(tmp_path / ".lock"):
        pass
    os.kill(grandchild, signal.SIGKILL)
    wait_for_end(grandchild)
    with exclusive(tmp_path / ".lock"):
        pass


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    """The lock refuses a second holder and is free after the first."""
    with exclusive(tmp_path / ".lock"), pytest.raises(Busy), exclusive(tmp_path / ".lock"):
        pass
    with exclusive(tmp_path / ".lock"):
        pass


def test_the_environment_is_an_allow_list(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and tokens of the caller stay with it; what torch needs of the machine passes, and so does an addition."""
    for name in ("LINBENCH_LEDGER_KEY", "LINBENCH_DATA", "LINBENCH_RUNS", "HF_TOKEN", "PYTHONSTARTUP", "PYTHONHOME_"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("NCCL_DEBUG", "WARN")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    ended = run("import json, os; print(json.dumps(dict(os.environ)))", environment={"LINBENCH_DATA": "/data"})
    told = json.loads(ended.tail)
    assert "secret" not in told.values()
    assert (told["NCCL_DEBUG"], told["OMP_NUM_THREADS"], told["LINBENCH_DATA"]) == ("WARN", "1", "/data")
    assert (told["LINBENCH_DEVICE"], told["PYTHONHASHSEED"]) == ("cpu", "0")
    ours = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "TOKENIZERS_PARALLELISM"}
    ours |= {"LINBENCH_DEVICE", "LINBENCH_DATA", "LINBENCH_PARENT"}
    others = set(told) - ours - launch.ENVIRONMENT
    assert not [name for name in others if not name.startswith(launch.ENVIRONMENT_PREFIXES)]


def test_threads_give_up_their_core_soon(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU a waiting thread spins briefly, unless the operator says otherwise; on a GPU nothing is set."""
    code = "import os; print(os.environ.get('GOMP_SPINCOUNT'))"
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert [run(code, device=device).tail for device in ("cpu", "cuda")] == [launch.SPIN_COUNT, "None"]
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert run(code).tail == "7"


def test_a_child_has_no_input_and_no_open_file_but_the_lock(run: Run, tmp_path: Path) -> None:
    """stdin is empty, and of the parent's files the child holds the lock alone."""
    code = "import os, sys; print(repr(sys.stdin.read()), [os.readlink(f'/proc/self/fd/{n}') for n in range(3, 64) "
    code += "if os.path.exists(f'/proc/self/fd/{n}')])"
    assert run(code).tail == f"'' ['{tmp_path / '.lock'}']"
