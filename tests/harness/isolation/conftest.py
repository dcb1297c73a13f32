"""A run folder, and real processes in it in every kind of sandbox that works here."""

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.isolation import KINDS, Limits, NoIsolation, choose
from harness.launch import Exit, exclusive, python_module, run_child
from harness.profiles import load_profile, resolve
from harness.run_folder import RunFolder
from harness.run_sandbox import kernel_caches, sandbox

CONFIG = resolve(load_profile("smoke"), seed=1, device="cpu")


def _available(kind: str) -> Any:
    try:
        choose(kind)
    except NoIsolation as problem:
        return pytest.param(kind, marks=pytest.mark.skip(reason=str(problem)))
    return kind


ISOLATED = [_available(kind) for kind in KINDS if kind != "none"]


@pytest.fixture(params=ISOLATED)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of isolation that works here."""
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run folder like that of a session's first test."""
    root = tmp_path / "session" / "tests" / "1"
    root.mkdir(parents=True)
    return RunFolder(root)


@pytest.fixture
def run(folder: RunFolder, kind: str) -> Iterator[Callable[..., Exit]]:
    """Runs Python code as a training would run."""
    with exclusive(folder.lock) as lock:

        def run(code: str, readable: tuple[Path, ...] = (), limits: Limits | None = None, **options: Any) -> Exit:
            folder.source.write_text(textwrap.dedent(code))
            with sandbox(folder, CONFIG, kind, readable=readable) as confinement:
                if limits is not None:
                    confinement = msgspec.structs.replace(confinement, limits=limits)
                command = python_module("harness.child", str(folder.source))
                usual = {"folder": folder.root, "log": folder.log, "lock": lock, "device": "cpu"}
                usual["environment"] = kernel_caches(folder, confinement)
                return run_child(command, confinement=confinement, **{**usual, **options})

        yield run
