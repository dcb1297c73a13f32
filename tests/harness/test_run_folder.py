"""Where a test's files lie."""

from pathlib import Path

from harness.run_folder import RunFolder


def test_a_further_seed_has_a_folder_inside_the_tests_and_the_sessions_kernels() -> None:
    """Its files are its own; what the session has compiled is compiled once, and lies in no folder of a run."""
    test = RunFolder(Path("runs/s/tests/3"))
    further = test.of_seed(43)
    assert further.checkpoint == Path("runs/s/tests/3/seed-43/ckpt.pt")
    assert further.kernels == test.kernels == Path("runs/s/tests/.kernels")
