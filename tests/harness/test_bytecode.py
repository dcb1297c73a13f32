"""What a training imports is compiled once, before the agent's code runs where nothing can be written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.bytecode import compile_once, compiled

Package = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Makes a package `toys`, importable here and in processes that start here, of modules and their text."""

    def make(**modules: str) -> Path:
        folder = tmp_path / "toys"
        folder.mkdir()
        for name, text in {"__init__": "", **modules}.items():
            (folder / f"{name}.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.syspath_prepend(tmp_path)
        return folder

    return make


def test_a_module_and_what_it_imports_are_compiled(package: Package) -> None:
    """Afterwards the bytecode of the module, of its package and of what it imports lies where Python looks for it."""
    folder = package(outer="import toys.inner", inner="", unused="")
    compile_once(["toys.outer"])
    assert all(compiled(folder / f"{name}.py").exists() for name in ("__init__", "outer", "inner"))
    assert not compiled(folder / "unused.py").exists()


def test_what_is_compiled_is_not_imported_again(package: Package) -> None:
    """Where the bytecode lies already, no process is started; a module that fails is tried once."""
    folder = package(outer="open(__file__ + '.ran', 'a').write('x'); raise ValueError")
    compile_once(["toys.outer"])
    compile_once(["toys.outer"])
    assert (folder / "outer.py.ran").read_text() == "x"


def test_what_cannot_be_compiled_is_left_alone(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written, a module that does not exist and a package that is missing are no error."""
    folder = package(outer="open(__file__ + '.ran', 'a')")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    compile_once(["toys.outer", "toys.nothing", "no_such_package.inner"])
    assert not (folder / "outer.py.ran").exists()
