"""A short stretch of each fuzzer; `make fuzz` runs the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(("fuzzer", "count"), [("edits.py", 1500), ("loaders.py", 300)])
def test_no_input_gets_through_without_an_answer(fuzzer: str, count: int) -> None:
    """Random input is taken or refused with an error of ours, and breaks no promise."""
    command = [sys.executable, str(HERE / fuzzer), "--count", str(count), "--seed", "7"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"{count:,}" in ended.stdout
