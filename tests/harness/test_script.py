"""harness/script.py: a snapshot as a module."""

import py_compile
from pathlib import Path

from harness.script import load_script


def test_only_the_text_counts(tmp_path: Path) -> None:
    """A compiled file beside the snapshot, newer than it and of other code, is not what runs; none is left behind."""
    source = tmp_path / "source.py"
    source.write_text("VALUE = 'another'\n")
    planted = py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    source.write_text("VALUE = 'the text'\n")
    assert load_script(source).VALUE == "the text"
    assert planted is not None
    Path(planted).unlink()
    load_script(source)
    assert list((tmp_path / "__pycache__").iterdir()) == []
