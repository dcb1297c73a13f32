"""What the operator may allow less than is usual."""

import pytest

from harness.isolation.confinement import VARIABLE, allowed, limits, wall_seconds


def test_less_than_usual_is_allowed_and_more_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit goes down by the variable, and never up; what it does not name stays."""
    usual = limits()
    monkeypatch.setenv(VARIABLE, f"tasks=5,memory_bytes={usual.memory_bytes * 2},seconds=7")
    found = limits()
    assert (found.tasks, found.memory_bytes, found.disk_bytes) == (5, usual.memory_bytes, usual.disk_bytes)
    assert (wall_seconds(600), wall_seconds(3)) == (7, 3)
    monkeypatch.delenv(VARIABLE)
    assert (limits(), wall_seconds(600)) == (usual, 600)


@pytest.mark.parametrize("text", ["tasks", "tasks=", "tasks=-1", "tasks=0", "task=5", "tasks=5;seconds=3"])
def test_a_limit_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A slip of the pen does not run unlimited."""
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ValueError, match="Names: memory_bytes"):
        allowed()
