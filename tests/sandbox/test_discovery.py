"""Finding sessions: by name, by its beginning, from the environment, or the newest that is open."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.discovery import SESSION_VARIABLE, find, find_or_create, list_sessions
from sandbox.errors import MachineFault, UsageError
from sandbox.events import Commit, Reserve, Submit
from sandbox.session import Session

NewSession = Callable[..., Session]


@pytest.fixture(autouse=True)
def _no_session_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SESSION_VARIABLE, raising=False)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def close(session: Session) -> None:
    with session.transact() as transaction:
        sha = transaction.state.document.revision_sha()
        transaction.append(Reserve(1, 0, sha, "smoke", 42, {}, ""))
        transaction.append(Commit(1, "done", None, {"val_loss": 2.0}, {}))
        transaction.append(Submit(1, {"name": "tester"}))


def test_sessions_are_listed_newest_first(new_session: NewSession, runs: Path) -> None:
    """Sessions come by their time; files, hidden folders and folders without a ledger are no sessions."""
    names = [new_session().name for _ in range(3)]
    (runs / "README.md").write_text("")
    (runs / "20990101-000000-empty-0000").mkdir()
    shutil.copytree(runs / names[0], runs / ".new-0123")
    assert [session.name for session in list_sessions(runs)] == names[::-1]
    assert list_sessions(runs / "nowhere") == []


def test_a_session_is_found_by_name_or_its_beginning(new_session: NewSession, runs: Path) -> None:
    """The whole name always finds it, closed or not, and so does a beginning that fits no other."""
    old, new = new_session(), new_session()
    close(old)
    assert find(old.name, runs).name == old.name
    assert find(new.name[:-1] if new.name[:-1] != old.name[:-1] else new.name, runs).name == new.name
    assert find(None, runs).name == new.name


def test_a_beginning_that_fits_several_is_refused(new_session: NewSession, runs: Path) -> None:
    """An ambiguous beginning names the sessions that it fits."""
    first, second = new_session(), new_session()
    with pytest.raises(UsageError, match=f"fits several sessions: {second.name}, {first.name}"):
        find(first.name[:4], runs)


def test_an_exact_name_wins_over_longer_ones(new_session: NewSession, runs: Path) -> None:
    """A session whose name is the beginning of another's can still be named."""
    first = new_session()
    shutil.copytree(runs / first.name, runs / "mine")
    shutil.copytree(runs / first.name, runs / "mine-too")
    assert find("mine", runs).name == "mine"


@pytest.mark.parametrize("name", ["20", "../runs", "/", ".", "*", "no such session"])
def test_an_unknown_name_is_refused_with_the_nearest(new_session: NewSession, runs: Path, name: str) -> None:
    """A name that fits nothing lists what there is; a path is never followed."""
    shutil.copytree(runs / new_session().name, runs / "elsewhere")
    shutil.rmtree(next(runs.glob("2*")))
    with pytest.raises(UsageError, match="There are: elsewhere"):
        find(name, runs)
    with pytest.raises(UsageError, match="Did you mean 'elsewhere'"):
        find("elswhere", runs)


def test_the_environment_names_a_session(new_session: NewSession, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LINBENCH_SESSION comes before the newest and after --session, and its mistakes are told as its own."""
    old, new = new_session(), new_session()
    monkeypatch.setenv(SESSION_VARIABLE, old.name)
    assert find(None, runs).name == old.name
    assert find(new.name, runs).name == new.name
    monkeypatch.setenv(SESSION_VARIABLE, "unknown")
    with pytest.raises(UsageError, match=r"^LINBENCH_SESSION: no session 'unknown'"):
        find(None, runs)
    monkeypatch.setenv(SESSION_VARIABLE, "")
    assert find(None, runs).name == new.name


def test_closed_sessions_are_passed_over(new_session: NewSession, runs: Path) -> None:
    """The newest open session is found behind closed ones; with none open, the command for a new one is given."""
    old, new = new_session(), new_session()
    close(new)
    assert find(None, runs).name == old.name
    close(old)
    with pytest.raises(UsageError, match=r"no open session.*all sessions there are closed") as caught:
        find(None, runs)
    assert caught.value.run == "linbench start"
    assert find(None, runs, or_closed=True).name == new.name


def test_a_long_ledger_with_a_torn_end_is_still_closed(session: Session, runs: Path) -> None:
    """Only the end of a ledger is looked at, and what a crash left behind the submission does not reopen it."""
    close(session)
    with session.folder.ledger.open("ab") as file:
        file.write(b'{"seq":5,"ti')
    with pytest.raises(UsageError, match="all sessions there are closed"):
        find(None, runs)


def test_without_sessions_nothing_is_found(runs: Path) -> None:
    """An empty or missing folder says so and how to begin."""
    with pytest.raises(UsageError, match=r"no open session in .*runs\.") as caught:
        find(None, runs)
    assert caught.value.run == "linbench start"


def test_find_or_create_creates_only_where_none_is_open(new_session: NewSession, runs: Path) -> None:
    """The first command makes a session, the second uses it, and after a submission the next makes another."""
    first, created = find_or_create(None, runs, new_session)
    assert created
    again, created = find_or_create(None, runs, new_session)
    assert (again.name, created) == (first.name, False)
    close(first)
    second, created = find_or_create(None, runs, new_session)
    assert created
    assert second.name != first.name


@pytest.mark.parametrize("place", ["/proc/runs", "file", "file/runs"])
def test_a_runs_folder_that_cannot_be_written_is_the_machines_fault(
    new_session: NewSession, tmp_path: Path, place: str
) -> None:
    """Where the first session cannot be made, the error names LINBENCH_RUNS."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineFault, match="LINBENCH_RUNS"):
        find_or_create(None, tmp_path / place, lambda: new_session(runs=tmp_path / place))
