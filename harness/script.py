"""Import a script snapshot as a module, so that preflight and scoring build the very model that was trained."""

import sys
from pathlib import Path
from types import ModuleType

MODULE = "custom_pretrain"


def load_script(source: Path) -> ModuleType:
    """Run the script's definitions without its main part. Whatever the agent's code raises passes through.

    The text itself is compiled: an import would prefer a compiled file beside it, which a training could have planted.
    """
    return define_script(source.read_bytes(), str(source))


def define_script(text: str | bytes, file: str) -> ModuleType:
    """The module that a script's text defines; tracebacks name `file`."""
    module = ModuleType(MODULE)
    module.__file__ = file
    sys.modules[MODULE] = module  # dataclasses and pickling look a class's module up by name
    exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)
    return module
