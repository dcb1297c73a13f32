"""lm-eval's own task files, found without importing lm-eval, which takes seconds."""

import importlib.util
from pathlib import Path
from types import ModuleType


class LmEvalChanged(Exception):
    """The installed lm-eval lacks a file that a metric is defined by."""


def task_file(name: str) -> Path:
    """The path of a file below lm_eval/tasks. Raises LmEvalChanged where it is not there."""
    spec = importlib.util.find_spec("lm_eval")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        path = Path(folder) / "tasks" / name
        if path.is_file():
            return path
    where = folders[0] if folders else "no package lm_eval"
    install = "version 0.4.13 has it: pip install lm-eval==0.4.13"
    raise LmEvalChanged(f"lm-eval's tasks/{name} is missing ({where}); {install}")


def task_module(name: str) -> ModuleType:
    """Run a Python file below lm_eval/tasks as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"lm_eval_tasks_{Path(name).stem}", task_file(name))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
