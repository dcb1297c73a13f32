"""The boundary of the command line: what no command can be reached with, every form of a reply, and what is loaded."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import __version__
from sandbox.session import Session

Linbench = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
RecordTest = Callable[[float | None], Session]


def hint(reply: Any) -> str:
    """The command that the reply gives to run next."""
    return next(line.removeprefix("hint: ") for line in reply.out.splitlines() if line.startswith("hint: "))


@pytest.mark.parametrize(
    ("arguments", "said", "next_command"),
    [
        (["edti"], "No such command 'edti'. Did you mean 'edit'? There are: ", "linbench --help"),
        (["nonsense"], "No such command 'nonsense'. There are: ", "linbench --help"),
        (["diff", "--nothing"], "No such option: --nothing. There are: ", "linbench diff --help"),
        (["data", "prepare"], "Missing argument", "linbench data prepare --help"),
        (["edit", "--contents", "x"], "No such option: --contents", "linbench edit --help"),
        (["edit", "--range"], "requires an argument", "linbench edit --help"),
        (["edit", "--after", "x"], "'x' is not a valid int", "linbench edit --help"),
        (["submit", "first"], "'first' is not a valid int", "linbench submit --help"),
        (["compare", "1"], "Missing argument", "linbench compare --help"),
        (["status", "now"], "now", "linbench status --help"),
        (["--expect", "3", "undo"], "options follow the command", "linbench undo --expect 3"),
        (["--session", "x y", "edit"], "options follow the command", "linbench edit --session 'x y'"),
        ([], "No command was given", "linbench start"),
        (["data"], "No command was given", "linbench data --help"),
        (["data", "lst"], "No such command 'lst'. Did you mean 'list'?", "linbench data --help"),
    ],
)
def test_a_mistyped_command_is_told_what_would_be_right(
    linbench: Linbench, arguments: list[str], said: str, next_command: str
) -> None:
    """What the parser refuses comes back with exit 2, what was wrong, and the command to run next."""
    reply = linbench(*arguments)
    assert reply.code == 2
    assert reply.out.startswith("ERROR: ")
    assert said in reply.out
    assert hint(reply) == next_command


def test_the_version_is_printed_without_loading_a_command(linbench: Linbench) -> None:
    """`--version` says one line and exits 0, and needs no command behind it."""
    reply = linbench("--version")
    assert (reply.code, reply.out) == (0, f"linbench {__version__}\n")


def test_every_command_explains_itself(linbench: Linbench) -> None:
    """`--help` of every command exits 0 and names it."""
    listed = linbench("--help").out.partition("Commands:\n")[2]
    commands = [line.split()[0] for line in listed.splitlines() if line[2:3].isalpha()]
    assert {"start", "show", "edit", "check", "test", "submit", "status", "verify"} <= set(commands)
    for command in commands:
        reply = linbench(command, "--help")
        assert reply.code == 0
        assert f"linbench {command}" in reply.out


def test_json_is_one_object_for_every_command(linbench: Linbench, record_test: RecordTest) -> None:
    """With --json every command answers with one object, whose `ok` agrees with the exit code, errors included."""
    linbench("start")
    for loss in (5.5, 5.4):
        record_test(loss)
    good = [
        *(["tasks"], ["tasks", "llm-pretrain-embedding"], ["show"], ["show", "--all"], ["status"], ["diff"]),
        *(["edit", "--range", "33-33", "--content", "# Attention"], ["undo"], ["redo"], ["reset"], ["runs"]),
        *(["runs", "1"], ["compare", "1", "2"], ["diff", "--from", "1"], ["leaderboard"], ["submit", "2"], ["start"]),
    ]
    bad = [["edit", "--range", "1-2", "--content", "x"], ["submit", "9"], ["nonsense"], ["undo", "5"], ["runs", "9"]]
    for arguments in [*good, *bad]:
        reply = linbench(*arguments, "--json")
        assert reply.json["ok"] is (arguments in good), (arguments, reply.out)
        if arguments in bad:
            assert reply.json["exit_code"] == reply.code
            assert set(reply.json["error"]) == {"kind", "message", "line", "column", "run"}


@pytest.mark.parametrize("command", [["status"], ["edit", "--range", "33-33", "--content", "# words"]])
def test_everyday_commands_load_no_torch_and_no_numpy(runs: Path, linbench: Linbench, command: list[str]) -> None:
    """`edit` and `status` start fast, because they load neither torch nor numpy."""
    linbench("start")
    program = (
        "import sys; from sandbox.cli import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'numpy', 'fla'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_a_terminal_gets_rich_and_a_pipe_gets_plain_text(linbench: Linbench, spawn: Spawn) -> None:
    """On a pseudo-terminal `status` is drawn with escape codes; the same words in a pipe carry none."""
    linbench("start")
    plain = linbench("status").out
    assert "\x1b" not in plain
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "sandbox", "status"], {**os.environ, "TERM": "xterm-256color"})
    drawn = b""
    try:
        while chunk := os.read(terminal, 65536):
            drawn += chunk
    except OSError:  # how Linux says that the other side has closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"\x1b[" in drawn
    assert b"llm-pretrain-linear-attention" in drawn
    assert b"Traceback" not in drawn


def test_a_reader_that_leaves_early_gets_no_traceback(linbench: Linbench, spawn: Spawn) -> None:
    """`linbench show --all | head -1` ends quietly."""
    linbench("start")
    process = spawn("show", "--all")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 0


def test_ctrl_c_in_any_command_is_a_reply(linbench: Linbench, spawn: Spawn) -> None:
    """Ctrl-C while a command waits for its stdin exits 130 with a JSON reply and changes nothing."""
    linbench("start")
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "edit", "--range", "33-70", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while b"pipe" not in Path(f"/proc/{process.pid}/wchan").read_bytes():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(out)["exit_code"] == 130
    assert b"Traceback" not in errors
    assert linbench("status", "--json").json["revision"] == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_of_another_encoding_gets_an_answer(
    runs: Path, linbench: Linbench, spawn: Spawn, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """A locale without en dashes shows them escaped rather than failing."""
    linbench("start")
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    process = spawn("show")
    out, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert rb"editable: 33\u201370" in out


def test_a_runs_folder_that_cannot_be_written_is_the_machines_fault(
    linbench: Linbench, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands that need to write say which folder refuses, name LINBENCH_RUNS, and exit 6."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LINBENCH_RUNS", str(tmp_path / "file" / "runs"))
    for arguments in (["start"], ["show"], ["edit", "--range", "33-70", "--content", "x"], ["check"], ["test"]):
        reply = linbench(*arguments)
        assert reply.code == 6
        assert str(tmp_path / "file" / "runs") in reply.out
        assert "LINBENCH_RUNS" in reply.out
    assert linbench("status").code == 2  # nothing to show, and nothing to write


def test_a_changed_byte_of_the_ledger_stops_every_command(linbench: Linbench, runs: Path) -> None:
    """Whatever reads the session names the damaged line and exits 6; the file stays as it is."""
    linbench("start")
    linbench("edit", "--range", "33-33", "--content", "# Attention")
    (ledger,) = runs.glob("*/ledger.jsonl")
    damaged = ledger.read_bytes().replace(b"# Attention", b"# attention", 1)
    ledger.write_bytes(damaged)
    commands = (["status"], ["show"], ["edit", "--range", "33-70", "--content", "x"], ["undo"], ["diff"], ["check"])
    for arguments in (*commands, ["test"], ["test", "--resume"], ["submit", "1"], ["verify"], ["runs"]):
        reply = linbench(*arguments)
        assert reply.code == 6, arguments
        assert "Line 2 of " in reply.out
        assert "does not match its hash" in reply.out
    assert ledger.read_bytes() == damaged
    assert linbench("leaderboard").code == 6  # no session is left to say which task
    ranked = linbench("leaderboard", "llm-pretrain-linear-attention")
    assert ranked.code == 0
    assert "is left out" in ranked.err


def test_sessions_are_found_by_option_then_variable_then_age(
    linbench: Linbench, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--session beats LINBENCH_SESSION, which beats the newest open session; a beginning of a name is enough."""
    first, second, third = (linbench("start", "--agent", name, "--json").json["session"] for name in "abc")

    def asked(*arguments: str) -> str:
        return str(linbench("status", "--json", *arguments).json["session"])

    assert asked() == third
    monkeypatch.setenv("LINBENCH_SESSION", second)
    assert asked() == second
    assert asked("--session", first) == first
    assert asked("--session", first[:-1]) in (first, second, third)
    unknown = linbench("status", "--session", "20000101")
    assert unknown.code == 2
    assert "--session: no session '20000101'" in unknown.out
    several = linbench("status", "--session", "20")
    assert several.code == 2
    assert "fits several sessions" in several.out
    assert f"hint: linbench status --session {third}" in several.out


def test_a_full_disk_is_the_machines_fault(linbench: Linbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the ledger cannot grow, the edit is refused with exit 6 and nothing has changed."""
    linbench("start")
    real = os.fsync

    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    reply = linbench("edit", "--range", "33-33", "--content", "# words")
    monkeypatch.setattr(os, "fsync", real)
    assert reply.code == 6
    assert "No space left on device" in reply.out
    assert linbench("status", "--json").json["revision"] == 0
