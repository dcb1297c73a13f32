"""Guard: the definitions that a region must keep are there."""

import ast
from collections.abc import Iterator, Sequence

from sandbox.errors import EditRefused
from sandbox.guards.scopes import Binding, Scope
from sandbox.schema import Region


def check_definitions(regions: Sequence[Region], module: Scope) -> None:
    """Raise EditRefused unless every required name is bound by a region, and every required method in its class.

    A class that only inherits a required method from another class of the file has it too.
    """
    for region in regions:
        for required in region.requires:
            if not _has(module, required.split(".")):
                raise EditRefused(
                    f"The region {region.name!r} must define {required!r}, which is missing. "
                    f"It must keep: {', '.join(region.requires)}."
                )


def _has(scope: Scope, path: Sequence[str]) -> bool:
    name, rest = path[0], path[1:]
    if not rest:
        return any(not binding.frozen for binding in scope.bindings.get(name, []))
    inner = _inner_scopes(scope, name)
    if inner:
        return any(_has(found, rest) or _inherits(found, rest, scope) for found in inner)
    return any(_is_plain(binding) for binding in scope.bindings.get(name, []))


def _inner_scopes(scope: Scope, name: str) -> list[Scope]:
    return [child for child in scope.children if getattr(child.node, "name", None) == name]


def _is_plain(binding: Binding) -> bool:
    """An assignment or an import in a region: what it holds is known only when it runs."""
    return not binding.frozen and not binding.defines


def _inherits(scope: Scope, path: Sequence[str], around: Scope, seen: frozenset[str] = frozenset()) -> bool:
    for base in _bases(scope):
        for found in _inner_scopes(around, base) if base not in seen else ():
            if path[0] in found.bindings or _inherits(found, path, around, seen | {base}):
                return True
    return False


def _bases(scope: Scope) -> Iterator[str]:
    if isinstance(scope.node, ast.ClassDef):
        yield from (base.id for base in scope.node.bases if isinstance(base, ast.Name))
