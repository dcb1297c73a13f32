"""Code in a sandbox, as real processes: what it cannot read, write or reach."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.isolation import NoIsolation, bubblewrap, choose
from harness.isolation.software import withheld
from harness.launch import Exit, exclusive, run_child
from harness.profiles import load_profile, resolve
from harness.run_folder import RunFolder
from harness.run_sandbox import sandbox

CONFIG = resolve(load_profile("smoke"), seed=1, device="cpu")


def tries(action: str) -> str:
    """Code that prints `refused` where the action raises OSError, and `done` where it does not."""
    return f"import os, socket, pathlib\ntry:\n    {action}\n    print('done')\nexcept OSError:\n    print('refused')\n"


def test_it_reads_what_it_is_given_and_writes_its_folder(run: Callable[..., Exit], tmp_path: Path) -> None:
    """The named data, the run folder, /tmp and Python's own modules are there."""
    data = tmp_path / "data" / "train.bin"
    data.parent.mkdir()
    data.write_bytes(b"tokens")
    ended = run(
        f"""
        import json, tempfile, numpy
        print(open({str(data)!r}).read())
        open("out", "w").write("mine")
        print(tempfile.TemporaryFile().write(b"scratch"))
        """,
        readable=(data,),
    )
    assert (ended.returncode, ended.tail) == (0, "tokens\n7")
    assert (tmp_path / "session" / "tests" / "1" / "out").read_text() == "mine"


@pytest.mark.parametrize(
    "place", ["data/validation.bin", "session/ledger.jsonl", "other/ledger.jsonl", "published.csv"]
)
def test_files_that_are_not_named_cannot_be_read(run: Callable[..., Exit], tmp_path: Path, place: str) -> None:
    """Validation shards beside the train shards, ledgers, other sessions and the tasks' answers are out of reach."""
    train, secret = tmp_path / "data" / "train.bin", tmp_path / place
    for file in (train, secret):
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text("secret")
    ended = run(tries(f"open({str(secret)!r}).read()"), readable=(train,))
    assert ended.tail == "refused"
    assert run(tries(f"os.symlink({str(secret)!r}, 'link'); open('link').read()")).tail == "refused"


def test_the_text_of_the_validation_tokens_cannot_be_read(run: Callable[..., Exit]) -> None:
    """No Python of the machine shows the reference from which pydocs' validation tokens are made."""
    folders = [str(path) for path in withheld()]
    assert folders
    ended = run(
        f"""
        import importlib, os
        for folder in {folders!r}:
            try:
                print(sum(len(open(os.path.join(folder, name)).read()) for name in os.listdir(folder)))
            except OSError:
                print("refused")
        """
    )
    assert set(ended.tail.splitlines()) <= {"refused", "0"}


@pytest.mark.parametrize("place", ["~", "/root", "/home"])
def test_homes_are_empty(run: Callable[..., Exit], place: str, tmp_path: Path) -> None:
    """What people keep in their homes is not there, apart from the Python that lies in one."""
    ended = run(
        f"""
        import os, sys
        try:
            found = os.listdir(os.path.expanduser({place!r}))
        except OSError:
            found = []
        print([name for name in found if name in (".bashrc", ".ssh", ".profile", ".cache")])
        """
    )
    assert ended.tail == "[]"


@pytest.mark.parametrize(
    "action",
    [
        "open('/etc/shadow').read()",
        "open(os.path.join(os.path.dirname(os.__file__), 'planted.py'), 'w')",
        "open('/usr/planted', 'w')",
        "open('/planted', 'w')",
    ],
)
def test_system_and_secrets_are_out_of_reach(run: Callable[..., Exit], action: str) -> None:
    """System, Python and secrets stay as they are."""
    assert run(tries(action)).tail == "refused"


def test_nothing_outside_its_folder_is_written(run: Callable[..., Exit], folder: RunFolder) -> None:
    """Whatever it writes beside its folder, nobody else sees."""
    run(tries("os.mkdir('../2')") + tries("open('../../workspace', 'w')") + tries("os.mkdir('/tmp/from-a-sandbox')"))
    session = folder.root.parent.parent
    assert sorted(path.name for path in session.iterdir()) == ["tests"]
    assert sorted(path.name for path in (session / "tests").iterdir()) == [".kernels", "1"]
    assert not Path("/tmp/from-a-sandbox").exists()


def test_a_temporary_file_is_gone_afterwards(run: Callable[..., Exit], folder: RunFolder) -> None:
    """What is written to /tmp stays in the sandbox and ends with it, also behind a locked folder."""
    ended = run(
        """
        import os, tempfile
        locked = tempfile.mkdtemp(prefix="left-behind-")
        open(os.path.join(locked, "file"), "w").write("x")
        os.chmod(locked, 0)
        """
    )
    assert ended.returncode == 0
    assert not folder.temporary.exists()
    assert not list(Path("/tmp").glob("left-behind-*"))


def test_it_reaches_no_server_of_this_machine(run: Callable[..., Exit]) -> None:
    """A listening port on the loopback refuses it, though others reach it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert run(tries(f"socket.create_connection(('127.0.0.1', {port}), timeout=5)")).tail == "refused"


def test_it_cannot_signal_its_parent(run: Callable[..., Exit]) -> None:
    """The process that measures it cannot be killed or stopped by it."""
    ended = run(tries(f"os.kill({os.getpid()}, 0)"))
    assert ended.tail == "refused"


def test_the_environment_holds_nothing_else(run: Callable[..., Exit], monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of the operator does not reach it."""
    monkeypatch.setenv("LINBENCH_LEDGER_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in run("import os; print(dict(os.environ))").tail


@pytest.mark.skipif(bubblewrap.problem() is not None, reason="bubblewrap does not work here")
@pytest.mark.parametrize("action", ["os.remove('source.py')", "open('source.py', 'w')", "os.replace('x', 'source.py')"])
def test_the_snapshot_stays_as_it_is(folder: RunFolder, action: str) -> None:
    """Under bubblewrap the script cannot change the source that it will be scored by."""
    folder.source.write_text("open('x', 'w')\n" + tries(action))
    before = folder.source.read_bytes()
    with exclusive(folder.lock) as lock, sandbox(folder, CONFIG, "bubblewrap") as confinement:
        ended = run_child(
            [sys.executable, str(folder.source)],
            folder=folder.root,
            log=folder.log,
            lock=lock,
            device="cpu",
            confinement=confinement,
        )
    assert ended.tail == "refused"
    assert folder.source.read_bytes() == before


def test_an_unknown_or_impossible_isolation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator hears which kinds there are, and why none of them works."""
    with pytest.raises(NoIsolation, match="There are: bubblewrap, landlock, none"):
        choose("chroot")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoIsolation, match="no program bwrap"):
        choose("bubblewrap")
    monkeypatch.setenv("LINBENCH_ISOLATION", "none")
    assert choose() == "none"


def test_what_a_training_compiled_is_not_kept(run: Callable[..., Exit], folder: RunFolder) -> None:
    """Weights hidden among kernels would be training that no budget counts: only a check's kernels stay."""
    plant = tries(f"open({str(folder.kernels / 'planted')!r}, 'w')")
    own = tries("pathlib.Path(os.environ['TRITON_CACHE_DIR']).mkdir(parents=True)")
    ended = run(plant + own)
    assert ended.tail == "refused\ndone"
    assert list(folder.kernels.iterdir()) == []
