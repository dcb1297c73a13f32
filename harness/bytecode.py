"""Compiled bytecode of what a training imports, made once: without it every start compiles some 2,700 modules anew.

An installer may leave none (uv, `pip install --no-compile`, many container images), and a process with the agent's code
writes none. Torch-free; `python -m harness.bytecode MODULE ...` is the process that compiles.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from py_compile import compile as compile_file

MODULES = ("torch._inductor.compile_fx", "triton.runtime.jit", "fla.layers.gla", "harness.preflight.preflight")
"""They import, with them, nearly all that a training, its check and its scoring import."""


def compile_once(modules: Sequence[str] = MODULES) -> None:
    """Compile the modules that lack bytecode, and all that they import, in a process of its own.

    Nothing happens where that place cannot be written; a module that cannot be imported is not tried a second time.
    """
    wanted = [name for name in modules if any(not compiled(file).exists() for file in sources(name))]
    if wanted:
        path = os.pathsep.join(filter(None, (str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH"))))
        told = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        command = [sys.executable, "-P", "-m", __name__, *wanted]
        subprocess.run(command, env={**told, "PYTHONPATH": path}, capture_output=True, check=False)


def sources(name: str) -> Iterator[Path]:
    """The file of a module, without importing it, if it is there and its bytecode could be written."""
    top, _, inner = name.partition(".")
    spec = find_spec(top)
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent.joinpath(*inner.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.is_file() and os.access(file.parent, os.W_OK):
            yield file


def compiled(source: Path) -> Path:
    """Where Python looks for a module's bytecode, unless a variable moves it, which no child of ours is given."""
    return source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"


def main() -> None:
    """Compile the named modules by themselves, then import them, by which Python compiles the rest."""
    for name in sys.argv[1:]:
        for file in sources(name):
            compile_file(str(file), str(compiled(file)))
    for name in sys.argv[1:]:
        import_module(name)


if __name__ == "__main__":
    main()
