"""Guard: a region binds no name that frozen code around it uses.

At module level those are the names that frozen code reads from the module or from the builtins, and its own functions
and classes; in a class body, what frozen code binds or reads there; in a function, the module's and builtin names that
its frozen code reads (binding one makes it local). Local variables of a frozen function stay free to a region inside
it: it is there to change them. A name that the template's own regions bound stays allowed, and so does the identical
import.
"""

import ast
import builtins
from collections.abc import Iterator, Sequence

from sandbox.errors import EditRefused
from sandbox.guards.frozen import Pair
from sandbox.guards.scopes import Binding, Scope, Use

_BUILTINS = {*dir(builtins), "__file__", "__builtins__", "__spec__"}
_ALWAYS_READ = "__builtins__"


def check_shadowing(old: Scope, new: Scope, mixed: Sequence[Pair]) -> None:
    """Raise EditRefused, naming the name and both lines, where a region takes a name from frozen code.

    `old` and `new` are the module scopes of the template and of the edited file.
    """
    _check_module(old, new)
    old_scopes = {scope.node: scope for scope in old.every()}
    new_scopes = {scope.node: scope for scope in new.every()}
    for old_node, new_node in mixed:
        if isinstance(new_node, ast.ClassDef):
            _check_class(old_scopes[old_node], new_scopes[new_node])
        elif isinstance(new_node, ast.FunctionDef | ast.AsyncFunctionDef):
            _check_function(old_scopes[old_node], new_scopes[new_node])


def _check_module(old: Scope, new: Scope) -> None:
    used = _module_uses(old)
    theirs = dict(_bound_at_module(old))
    for name, binding in _bound_at_module(new):
        if name == "*" and "*" not in theirs:
            raise _refused(binding, "A star import may bind any name. Import the names that you need")
        if name in theirs or name not in used:
            continue
        if not _same_import(old.bindings.get(name, []), binding):
            raise _taken(name, binding, used[name])


def _module_uses(old: Scope) -> dict[str, int]:
    """The names of module level (and the builtins) that frozen code relies on, with the line where it does."""
    used = {_ALWAYS_READ: 1}
    known = _BUILTINS | {name for scope in old.every() for name in scope.bindings if scope.target(name) is old}
    everything = "*" in old.bindings
    for scope in old.every():
        for name, use in _frozen_uses(scope):
            if (everything or name in known) and scope.resolve(name) is old:
                used.setdefault(name, use.line)
    for name, bindings in old.bindings.items():
        for binding in bindings:
            if binding.frozen and binding.defines:
                used.setdefault(name, binding.line)
    return used


def _frozen_uses(scope: Scope) -> Iterator[tuple[str, Use]]:
    for name, uses in scope.uses.items():
        for use in uses:
            if use.frozen:
                yield name, use


def _bound_at_module(module: Scope) -> Iterator[tuple[str, Binding]]:
    """What regions bind at module level, also through `global`."""
    for scope in module.every():
        names = scope.bindings if scope is module else scope.declared_global
        for name in names:
            for binding in scope.bindings.get(name, []):
                if not binding.frozen:
                    yield name, binding


def _same_import(frozen: Sequence[Binding], binding: Binding) -> bool:
    origins = {other.imports for other in frozen if other.frozen}
    return binding.imports is not None and origins == {binding.imports}


def _check_class(old: Scope, new: Scope) -> None:
    relied_on = {name: use.line for name, use in _frozen_uses(old)}
    relied_on |= {name: b.line for name, bindings in old.bindings.items() for b in bindings if b.frozen}
    theirs = {name for name, _ in _bound_by_region(old)}
    for name, binding in _bound_by_region(new):
        if name in relied_on and name not in theirs and not _same_import(old.bindings.get(name, []), binding):
            raise _taken(name, binding, relied_on[name])


def _check_function(old: Scope, new: Scope) -> None:
    reads = _outer_reads(old)
    theirs = {name for name, _ in _bound_by_region(old)}
    for name, binding in _bound_by_region(new):
        if name in theirs or name not in reads:
            continue
        again = _same_import(old.module.bindings.get(name, []), binding)
        if not (again and _all_behind(binding, new, name)):
            raise _taken(name, binding, reads[name])
    _refuse_declarations(old, new)


def _outer_reads(function: Scope) -> dict[str, int]:
    """The known names from outside a function that frozen code in it reads."""
    reads: dict[str, int] = {}
    inside = set(function.every())
    for scope in inside:
        for name, use in _frozen_uses(scope):
            home = scope.resolve(name)
            if home not in inside and (name in home.bindings or name in _BUILTINS):
                reads.setdefault(name, use.line)
    return reads


def _all_behind(binding: Binding, function: Scope, name: str) -> bool:
    """Whether frozen code of the function reads the name only behind the region's binding of it."""
    return all(
        use.line > binding.line for scope in function.every() for other, use in _frozen_uses(scope) if other == name
    )


def _bound_by_region(scope: Scope) -> Iterator[tuple[str, Binding]]:
    for name, bindings in scope.bindings.items():
        for binding in bindings:
            if not binding.frozen and scope.target(name) is scope:
                yield name, binding


def _refuse_declarations(old: Scope, new: Scope) -> None:
    """A region may not turn a frozen function's local variable into a global one."""
    declared = {**new.declared_global, **new.declared_nonlocal}
    for name, binding in declared.items():
        lines = [other.line for other in old.bindings.get(name, []) if other.frozen]
        if not binding.frozen and lines and name not in {**old.declared_global, **old.declared_nonlocal}:
            raise _taken(name, binding, lines[0])


def _taken(name: str, binding: Binding, line: int) -> EditRefused:
    verb = "defines" if binding.defines else "imports" if binding.imports else "sets"
    return _refused(
        binding,
        f"Line {binding.line} {verb} {name!r}, which read-only code uses (line {line} of the template). Rename yours",
    )


def _refused(binding: Binding, reason: str) -> EditRefused:
    return EditRefused(f"{reason}.", line=binding.line, column=binding.column + 1)
