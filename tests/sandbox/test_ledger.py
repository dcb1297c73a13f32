"""The ledger: every event survives, and nothing that was not written is taken for an event."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sandbox
from sandbox.errors import LedgerDamaged, MachineFault
from sandbox.events import Commit, Edit, Redo, Reset, Start, Undo
from sandbox.ledger import EMPTY, KEY_VARIABLE, Ledger, Reading
from sandbox.ledger_head import head_of
from sandbox.tasks import LoadedTask

EDIT = Edit("Replaced lines 4..5 – “héllo” 😀", ("x = 'é \\ \"quoted\" \u2028'\n", ""), True)


@pytest.fixture
def start(toy_task: LoadedTask) -> Start:
    return Start(toy_task, "s", "tester", "agent", "agent", "smoke", 3, 42, "0")


def write(path: Path, *events: object, key: bytes | None = None) -> Reading:
    reading = EMPTY
    for event in events:
        reading = Ledger(path, key).append(reading, event)  # type: ignore[arg-type]
    return reading


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(sandbox.__file__).parents[1])}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_events_are_read_back_as_written(tmp_path: Path, start: Start) -> None:
    """Reading gives the events that were appended, in order, whatever characters they hold."""
    path = tmp_path / "ledger.jsonl"
    written = write(path, start, EDIT, Undo(1), Redo(1), Reset())
    read = Ledger(path).read()
    assert [entry.event for entry in read.entries] == [start, EDIT, Undo(1), Redo(1), Reset()]
    assert [entry.seq for entry in read.entries] == [1, 2, 3, 4, 5]
    assert (read.last_hash, read.size, read.torn) == (written.last_hash, path.stat().st_size, 0)


def test_any_changed_byte_is_refused_naming_its_line(tmp_path: Path) -> None:
    """Every byte of the ledger, changed to any of several others, stops the reading with the number of its line."""
    path = tmp_path / "ledger.jsonl"
    write(path, EDIT, Undo(1), Redo(1))
    data = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(data):
            line = data[:place].count(b"\n") + 1
            for other in {byte ^ 1, byte ^ 0x20, byte ^ 0x80, *b' \n\r\t0a"}', 0} - {byte}:
                os.pwrite(file.fileno(), bytes([other]), place)
                with pytest.raises(LedgerDamaged, match=rf"^Line {line} of "):
                    Ledger(path, None).read()
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert len(Ledger(path, None).read().entries) == 3


def test_lines_that_are_moved_repeated_or_missing_are_refused(tmp_path: Path) -> None:
    """Whole lines cannot be swapped, doubled, taken out or put in."""
    path = tmp_path / "ledger.jsonl"
    write(path, EDIT, Undo(1), Redo(1))
    one, two, three = path.read_bytes().splitlines(keepends=True)
    for forged, line in (([one, three, two], 2), ([one, two, two, three], 3), ([one, three], 2), ([two, three], 1)):
        path.write_bytes(b"".join(forged))
        with pytest.raises(LedgerDamaged, match=rf"^Line {line} of "):
            Ledger(path).read()
    path.write_bytes(one + b"\n" + two + three)
    with pytest.raises(LedgerDamaged, match=r"^Line 2 of "):
        Ledger(path).read()


@pytest.mark.parametrize("key", [None, b"secret"])
def test_a_torn_last_line_is_dropped_and_cut_off(tmp_path: Path, key: bytes | None) -> None:
    """Wherever a kill cuts the last line, it is dropped and counted, and the next append takes its place."""
    path = tmp_path / "ledger.jsonl"
    event = Commit(1, "done", None, {"val_loss": -1.5e-7, "ppl": 12.5}, {"deep": [1.5, None, True, {"é": "😀"}]})
    before = write(path, EDIT, key=key)
    behind = head_of(path).read_bytes()
    whole = Ledger(path, key).append(before, event)
    data = path.read_bytes()
    for size in range(before.size + 1, whole.size):
        path.write_bytes(data[:size])
        head_of(path).write_bytes(behind)
        read = Ledger(path, key).read()
        assert (len(read.entries), read.size, read.torn) == (1, before.size, size - before.size)
        if size % 10 == 0:
            Ledger(path, key).append(read, Undo(1))
            assert [entry.event for entry in Ledger(path, key).read().entries] == [EDIT, Undo(1)]


@pytest.mark.parametrize("key", [None, b"secret"])
def test_lines_that_were_cut_off_at_the_end_are_missed(tmp_path: Path, key: bytes | None) -> None:
    """Without its last whole line, or with another there, a ledger is damaged; one line ahead of its head is lawful."""
    path = tmp_path / "ledger.jsonl"
    before = write(path, EDIT, Undo(1), key=key)
    behind = head_of(path).read_bytes()
    Ledger(path, key).append(before, Redo(1))
    *lines, last = path.read_bytes().splitlines(keepends=True)
    for kept in (lines, [*lines, last[: len(last) // 2]]):
        path.write_bytes(b"".join(kept))
        with pytest.raises(LedgerDamaged, match=r"^Line 3 of .* was written, and is missing"):
            Ledger(path, key).read()
    other = tmp_path / "other.jsonl"
    Ledger(other, key).append(write(other, EDIT, Undo(1), key=key), Undo(1))
    path.write_bytes(b"".join([*lines, last]))
    head_of(path).write_bytes(head_of(other).read_bytes())
    with pytest.raises(LedgerDamaged, match=r"^Line 3 of .* is not the line that was written"):
        Ledger(path, key).read()
    for left in (behind, b""):  # killed before the head was written; a power cut
        head_of(path).write_bytes(left)
        assert len(Ledger(path, key).read().entries) == 3


def test_a_head_that_cannot_be_written_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The event is recorded, stderr says what is wrong, and the ledger reads on."""
    path = tmp_path / "ledger.jsonl"
    head_of(path).mkdir()
    write(path, EDIT)
    assert "could not be written" in capsys.readouterr().err
    assert len(Ledger(path).read().entries) == 1


def test_a_ledger_is_signed_throughout_or_not_at_all(tmp_path: Path) -> None:
    """With a key every line needs its HMAC; another key, no HMAC, or a line without one is refused."""
    signed, plain, mixed = tmp_path / "signed", tmp_path / "plain", tmp_path / "mixed"
    reading = write(signed, EDIT, Undo(1), key=b"secret")
    write(plain, EDIT, Undo(1))
    assert len(Ledger(signed, b"secret").read().entries) == 2
    assert len(Ledger(signed, None).read().entries) == 2
    with pytest.raises(LedgerDamaged, match=f"Line 1 .*this {KEY_VARIABLE}"):
        Ledger(signed, b"wrong").read()
    with pytest.raises(LedgerDamaged, match=f"Line 1 .*no HMAC, but {KEY_VARIABLE} is set"):
        Ledger(plain, b"secret").read()
    with pytest.raises(MachineFault, match=f"{KEY_VARIABLE} is not set"):
        Ledger(signed, None).append(reading, Redo(1))
    first = write(mixed, EDIT, key=b"secret")
    mixed.write_bytes(mixed.read_bytes() + plain.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(LedgerDamaged, match="Line 2"):
        Ledger(mixed, b"secret").read()
    assert first.signed


def test_a_chain_that_was_written_anew_needs_the_key(tmp_path: Path) -> None:
    """Somebody who recomputes every hash but has no key is found out by the one who has it."""
    forged = tmp_path / "ledger.jsonl"
    write(forged, EDIT, Undo(1), key=b"guessed")
    assert len(Ledger(forged, None).read().entries) == 2
    with pytest.raises(LedgerDamaged):
        Ledger(forged, b"secret").read()


def test_the_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LINBENCH_LEDGER_KEY signs; unset or empty does not; the key is never shown."""
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    assert Ledger(tmp_path / "l").key == b"secret"
    assert "secret" not in repr(Ledger(tmp_path / "l"))
    monkeypatch.setenv(KEY_VARIABLE, "")
    assert Ledger(tmp_path / "l").key is None


def test_an_event_of_another_version_is_refused(tmp_path: Path) -> None:
    """A line whose hash is right but whose event is unknown stops the reading instead of being skipped."""
    path = tmp_path / "ledger.jsonl"
    write(path, EDIT)
    script = (
        "import sys, msgspec, sandbox.ledger as l\n"
        "class Dance(msgspec.Struct, tag='dance'): steps: int\n"
        "class Entry(msgspec.Struct): seq: int; time: str; event: Dance; prev: str\n"
        "ledger = l.Ledger(l.Path(sys.argv[1]))\n"
        "line, _ = ledger._seal(Entry(2, '', Dance(3), ledger.read().last_hash))\n"
        "open(sys.argv[1], 'ab').write(line + b'\\n')\n"
    )
    assert run_python(script, str(path)).returncode == 0
    with pytest.raises(LedgerDamaged, match=r"Line 2 .*not an event of this version"):
        Ledger(path).read()


def test_metrics_that_json_cannot_hold_are_refused_before_they_are_written() -> None:
    """A metric that is not finite raises at once, so that no line is written that cannot be read."""
    with pytest.raises(ValueError, match="val_loss"):
        Commit(1, "done", None, {"val_loss": float("nan")}, {})


def test_a_full_disk_leaves_the_ledger_whole(tmp_path: Path) -> None:
    """When only half of a line fits on the disk, the half is taken away again and the error says so."""
    path = tmp_path / "ledger.jsonl"
    written = write(path, EDIT, Undo(1))
    before = path.read_bytes()
    script = (
        "import resource, sys\n"
        "from sandbox.ledger import *\n"
        "from sandbox.events import Undo\n"
        "ledger = Ledger(Path(sys.argv[1])); reading = ledger.read()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (reading.size + 50, -1))\n"
        "try: ledger.append(reading, Undo(1))\n"
        "except MachineFault as error: print(error.message); sys.exit(error.exit_code)\n"
    )
    run = run_python(script, str(path))
    assert (run.returncode, run.stderr) == (6, "")
    assert "could not be written" in run.stdout
    assert "Nothing was recorded" in run.stdout
    assert path.read_bytes() == before
    Ledger(path).append(written, Undo(1))
    assert len(Ledger(path).read().entries) == 3


def test_a_write_past_the_lock_is_noticed(tmp_path: Path) -> None:
    """A ledger that grew or shrank since it was read is not written to."""
    path = tmp_path / "ledger.jsonl"
    first = write(path, EDIT)
    Ledger(path).append(first, Undo(1))
    before = path.read_bytes()
    with pytest.raises(LedgerDamaged, match="did not hold"):
        Ledger(path).append(first, Redo(1))
    assert path.read_bytes() == before
    os.truncate(path, 10)
    with pytest.raises(LedgerDamaged, match="did not hold"):
        Ledger(path).append(first, Redo(1))


def test_a_missing_ledger_is_the_machines_fault(tmp_path: Path) -> None:
    """A ledger that is not there, or is a folder, gives an error that names it."""
    with pytest.raises(MachineFault, match="nowhere"):
        Ledger(tmp_path / "nowhere").read()
    with pytest.raises(MachineFault, match="cannot be read"):
        Ledger(tmp_path).read()


def test_a_line_that_is_nested_too_deep_is_damaged(tmp_path: Path) -> None:
    """Whoever seals such a line breaks off nobody's reading: it is named like any other."""
    path = tmp_path / "ledger.jsonl"
    first = write(path, EDIT)
    facts = '{"x":' + "[" * 100_000 + "]" * 100_000 + "}"
    event = f'{{"type":"commit","test":1,"status":"failed","reason":null,"metrics":{{}},"facts":{facts}}}'
    body = f'{{"seq":2,"time":"","event":{event},"prev":"{first.last_hash}"'.encode()
    with path.open("ab") as file:
        file.write(body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n')
    with pytest.raises(LedgerDamaged, match=r"Line 2 of .* is damaged: it is not an event"):
        Ledger(path).read()
