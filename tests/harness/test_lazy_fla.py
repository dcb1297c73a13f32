"""FLA's packages load what a script asks for, and nothing else."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import harness
from harness.lazy_fla import Origin, postpone

LAZILY = "from harness.lazy_fla import install; install()"
EXPORTS = """
import importlib, json
found = {}
for package in map(importlib.import_module, ("fla", "fla.layers", "fla.models", "fla.ops")):
    values = [getattr(package, name) for name in package.__all__]
    found[package.__name__] = [f"{value.__module__}.{value.__qualname__}" for value in values]
print(json.dumps(found))
"""


def run_python(*code: str) -> str:
    told = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(harness.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", "\n".join(code)]
    ended = subprocess.run(command, env=told, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_one_layer_loads_neither_the_others_nor_transformers() -> None:
    """A script with gated linear attention has its layer in memory, and no other layer, model or transformers."""
    loaded = run_python(
        LAZILY,
        "from fla.layers import GatedLinearAttention",
        "import sys, json",
        "print(json.dumps([name for name in sys.modules if name.startswith(('fla', 'transformers'))]))",
    )
    names = set(json.loads(loaded))
    layers = {name for name in names if name.startswith("fla.layers.")}
    assert layers == {"fla.layers.gla", "fla.layers.utils"}
    assert not {name for name in names if name.startswith(("fla.models", "transformers"))}


def test_everything_that_fla_exports_is_what_it_was() -> None:
    """Every name of fla, its layers, models and operations comes from the same module, loaded lazily or not."""
    assert json.loads(run_python(LAZILY, EXPORTS)) == json.loads(run_python(EXPORTS))


def test_submodules_are_attributes_and_other_names_are_not() -> None:
    """A path through the packages leads to a function; a name that FLA has not is an AttributeError that says so."""
    said = run_python(
        LAZILY,
        "import fla",
        "print(fla.ops.gla.chunk_gla.__name__, hasattr(fla.layers, 'nothing'))",
        "try: fla.nothing",
        "except AttributeError as error: print(error)",
    )
    assert said == "chunk_gla False\nmodule 'fla' has no attribute 'nothing'\n"


def test_imports_from_inside_the_package_wait() -> None:
    """Imports from the package itself are taken out; others stay, and so does one that hides a submodule."""
    kept = ["import os", "from fla.utils import one", "from .norm import norm", "from .star import *", "here = 1"]
    code = "\n".join([*kept, "from .gla import Layer, other as renamed", "from fla.layers.abc import ABC"])
    tree = ast.parse(code)
    origins = postpone(tree, "fla.layers", {"gla", "norm", "abc", "star"})
    assert origins == {
        "Layer": Origin(".gla", "Layer"),
        "renamed": Origin(".gla", "other"),
        "ABC": Origin("fla.layers.abc", "ABC"),
    }
    assert ast.unparse(tree).splitlines() == kept
