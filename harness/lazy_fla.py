"""Lets a script that imports one layer of flash-linear-attention load that layer alone.

FLA's packages import all that they name, and with it transformers: 1,300 modules for one layer. Here those imports wait
until somebody asks for the name. Every module that is loaded is FLA's own, unchanged.
"""

import ast
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from pkgutil import iter_modules
from types import ModuleType
from typing import NamedTuple

ROOT = "fla"
EXPORTED = ("fla.layers", "fla.models")
"""Whose names the root has as its own."""
PACKAGES = (*EXPORTED, "fla.ops")
OPTIONAL = "_import_optional_public_module"
"""The function with which the root does without what it exports where that is missing."""


class Origin(NamedTuple):
    """Where a name of a package comes from."""

    module: str
    name: str


class LazyFinder:
    """A meta path finder that gives FLA's packages a loader of ours."""

    def __init__(self) -> None:
        self.hidden: tuple[str, ...] = ()
        """What cannot be found just now."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in self.hidden:
            raise ModuleNotFoundError(f"{name} waits until it is asked for", name=name)
        if name not in (ROOT, *PACKAGES):
            return None
        spec = next(filter(None, (f.find_spec(name, path, target) for f in sys.meta_path if f is not self)), None)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            loader = RootLoader(name, spec.loader.path) if name == ROOT else PackageLoader(name, spec.loader.path)
            loader.finder = self
            spec.loader = loader
        return spec


class PackageLoader(SourceFileLoader):
    """Runs a package's `__init__` without the imports from inside the package."""

    finder: LazyFinder

    def exec_module(self, module: ModuleType) -> None:
        tree = ast.parse(self.get_data(self.path))
        origins = postpone(tree, module.__name__, {found.name for found in iter_modules(module.__path__)})
        _answer(module, lambda name: _from_origin(module, origins, name))
        exec(compile(tree, self.path, "exec"), module.__dict__)


class RootLoader(SourceFileLoader):
    """Runs the root's `__init__` as if it had nothing to export, and finds what it exports when it is asked for."""

    finder: LazyFinder

    def exec_module(self, module: ModuleType) -> None:
        if OPTIONAL.encode() not in self.get_data(self.path):  # another FLA, which cannot do without them
            super().exec_module(module)
            return
        self.finder.hidden = EXPORTED
        try:
            super().exec_module(module)
        finally:
            self.finder.hidden = ()
        del module.__all__
        _answer(module, lambda name: _exported(module, name))


def postpone(tree: ast.Module, package: str, submodules: set[str]) -> Mapping[str, Origin]:
    """Take the imports from inside the package out of its code, and say where their names come from.

    An import that gives something the name of a submodule stays: Python itself binds that name when it is loaded.
    """
    origins: dict[str, Origin] = {}
    for statement in list(tree.body):
        if not isinstance(statement, ast.ImportFrom) or not _inside(statement, package):
            continue
        names = {alias.asname or alias.name: alias.name for alias in statement.names}
        if names.keys() & {"*", *submodules}:
            continue
        module = f"{'.' * statement.level}{statement.module}"
        origins |= {own: Origin(module, name) for own, name in names.items()}
        tree.body.remove(statement)
    return origins


def _inside(statement: ast.ImportFrom, package: str) -> bool:
    module = statement.module or ""
    return module != "" and (statement.level == 1 or (statement.level == 0 and module.startswith(f"{package}.")))


def _answer(module: ModuleType, find: Callable[[str], object]) -> None:
    """Let a module find a name that it lacks: as it says, else as a submodule."""

    def __getattr__(name: str) -> object:
        value = find(name)
        return _submodule(module, name) if value is None else value

    module.__getattr__ = __getattr__  # type: ignore[method-assign]


def _from_origin(module: ModuleType, origins: Mapping[str, Origin], name: str) -> object:
    if name not in origins:
        return None
    value = getattr(import_module(origins[name].module, module.__name__), origins[name].name)
    setattr(module, name, value)
    return value


def _exported(module: ModuleType, name: str) -> object:
    """What the root exports under a name; a configuration is not exported, as FLA has it."""
    if (name.startswith("_") and name != "__all__") or name.endswith("Config"):
        return None
    if any(found.name == name for found in iter_modules(module.__path__)):
        return None
    packages = list(map(import_module, EXPORTED))
    if name == "__all__":
        return [own for package in packages for own in package.__all__ if not own.endswith("Config")]
    return next((getattr(package, name) for package in packages if name in package.__all__), None)


def _submodule(module: ModuleType, name: str) -> ModuleType:
    whole = f"{module.__name__}.{name}"
    try:
        if name.startswith("_"):
            raise ModuleNotFoundError(name=whole)
        return import_module(whole)
    except ModuleNotFoundError as error:
        if error.name != whole:
            raise
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}") from None


def install() -> None:
    """Load FLA lazily in this process from now on; safe to call again."""
    if not any(isinstance(finder, LazyFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, LazyFinder())
