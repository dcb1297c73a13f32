"""Import a script snapshot as a module, so that preflight and scoring build the very model that was trained."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

MODULE = "custom_pretrain"


def load_script(source: Path) -> ModuleType:
    """Run the script's definitions without its main part. Whatever the agent's code raises passes through."""
    spec = importlib.util.spec_from_file_location(MODULE, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module  # dataclasses and pickling look a class's module up by name
    spec.loader.exec_module(module)
    return module
