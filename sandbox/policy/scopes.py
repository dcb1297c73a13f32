"""The scopes of Python: which names a module, class, function or comprehension binds, and to what."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import libcst as cst

from sandbox.policy.tree import children

COMPREHENSIONS = (cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp)
_INNER_SCOPES = (cst.FunctionDef, cst.ClassDef, cst.Lambda, *COMPREHENSIONS)


class Default(NamedTuple):
    """The default of an argument, which means what it does outside of the function."""

    value: cst.BaseExpression
    scope: "Scope"


Meaning = str | cst.BaseExpression | Default | None
"""What a name is bound to: an import, by its dotted name; an expression; or something unknown."""


class Scope:
    """The names that a module, class, function, lambda or comprehension binds."""

    def __init__(self, parent: "Scope | None" = None, *, is_class: bool = False):
        self.parent, self.is_class = parent, is_class
        self.meanings: dict[str, list[Meaning]] = {}
        self.elsewhere: set[str] = set()
        """Declared global or nonlocal."""
        self.known: dict[str, frozenset[str]] = {}
        """The dotted names of the names that were asked for; empty while they are being looked for."""

    @property
    def in_function(self) -> bool:
        """Whether code here runs in a function."""
        return self.parent is not None and (not self.is_class or self.parent.in_function)

    def bind(self, name: str, meaning: Meaning = None) -> None:
        """Add one thing that the name may stand for."""
        self.meanings.setdefault(name, []).append(meaning)

    def find(self, name: str) -> "Scope | None":
        """The scope that binds `name`, as seen from here."""
        scope: Scope | None = self
        while scope is not None:
            visible = scope is self or not scope.is_class
            if visible and name in scope.meanings and name not in scope.elsewhere:
                return scope
            scope = scope.parent
        return None


def function_scope(node: cst.FunctionDef | cst.Lambda, parent: Scope) -> Scope:
    """The scope inside a function: its arguments and what its body binds."""
    scope = Scope(parent)
    arguments = node.params
    stars = [star for star in (arguments.star_arg, arguments.star_kwarg) if isinstance(star, cst.Param)]
    for argument in (*arguments.posonly_params, *arguments.params, *arguments.kwonly_params, *stars):
        scope.bind(argument.name.value, Default(argument.default, parent) if argument.default else None)
    bind_all([node.body], scope)
    return scope


def class_scope(node: cst.ClassDef, parent: Scope) -> Scope:
    """The scope inside a class body."""
    scope = Scope(parent, is_class=True)
    bind_all([node.body], scope)
    return scope


def comprehension_scope(first: cst.CompFor, parent: Scope) -> Scope:
    """The scope inside a comprehension."""
    scope = Scope(parent)
    loop: cst.CompFor | None = first
    while loop is not None:
        _bind_each(loop, scope)
        loop = loop.inner_for_in
    return scope


def bind_all(nodes: Iterable[cst.CSTNode], scope: Scope) -> None:
    """Bind in `scope` what these statements bind, leaving out what functions and classes inside them bind."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        binder = _BINDERS.get(type(node))
        if binder is not None:
            binder(node, scope)
        if not isinstance(node, _INNER_SCOPES):
            waiting.extend(children(node))


def imported(node: cst.Import | cst.ImportFrom) -> Iterator[tuple[str, str, str]]:
    """Of every name that an import binds: the name, what it stands for, and what is imported in full."""
    if isinstance(node, cst.Import):
        for alias in node.names:
            full = alias.evaluated_name
            top = full.partition(".")[0]
            yield (alias.evaluated_alias or top), (full if alias.asname else top), full
        return
    module = "." * len(node.relative) + (_dotted(node.module) if node.module else "")
    if isinstance(node.names, cst.ImportStar):
        yield "*", f"{module}.*", f"{module}.*"
        return
    for alias in node.names:
        full = f"{module}.{alias.evaluated_name}"
        yield alias.evaluated_alias or alias.evaluated_name, full, full


def _dotted(node: cst.Attribute | cst.Name) -> str:
    if isinstance(node, cst.Name):
        return node.value
    assert isinstance(node.value, cst.Attribute | cst.Name)
    return f"{_dotted(node.value)}.{node.attr.value}"


def target_names(target: cst.CSTNode) -> Iterator[str]:
    """The plain names in what an assignment, a loop or a `with` binds."""
    waiting: list[cst.CSTNode] = [target]
    while waiting:
        node = waiting.pop()
        if isinstance(node, cst.Name):
            yield node.value
        elif isinstance(node, cst.Tuple | cst.List):
            waiting.extend(element.value for element in node.elements)


def _bind_targets(target: cst.CSTNode, scope: Scope) -> None:
    for name in target_names(target):
        scope.bind(name)


def _bind_assignment(node: cst.Assign, scope: Scope) -> None:
    for target in node.targets:
        _bind_value(target.target, node.value, scope)


def _bind_value(target: cst.BaseExpression, value: cst.BaseExpression | None, scope: Scope) -> None:
    """Bind one target, element by element where a tuple is set to a tuple of the same length."""
    if isinstance(target, cst.Name):
        scope.bind(target.value, value)
    elif isinstance(target, cst.Tuple | cst.List):
        values: Sequence[cst.BaseElement] = value.elements if isinstance(value, cst.Tuple | cst.List) else ()
        paired = len(values) == len(target.elements)
        for number, element in enumerate(target.elements):
            _bind_value(element.value, values[number].value if paired else None, scope)


def _bind_annotated(node: cst.AnnAssign | cst.NamedExpr, scope: Scope) -> None:
    if node.value is not None:
        _bind_value(node.target, node.value, scope)


def _bind_import(node: cst.Import | cst.ImportFrom, scope: Scope) -> None:
    for name, meaning, _ in imported(node):
        scope.bind(name, meaning)


def _bind_definition(node: cst.FunctionDef | cst.ClassDef, scope: Scope) -> None:
    scope.bind(node.name.value)


def _bind_each(node: cst.For | cst.CompFor, scope: Scope) -> None:
    """Bind the target of a loop: to every element where those are written out."""
    if isinstance(node.iter, cst.Tuple | cst.List | cst.Set):
        for element in node.iter.elements:
            _bind_value(node.target, element.value, scope)
    else:
        _bind_targets(node.target, scope)


def _bind_augmented(node: cst.AugAssign, scope: Scope) -> None:
    _bind_targets(node.target, scope)


def _bind_as(node: cst.AsName | cst.MatchAs | cst.MatchStar, scope: Scope) -> None:
    if node.name is not None:
        _bind_targets(node.name, scope)


def _bind_rest(node: cst.MatchMapping, scope: Scope) -> None:
    if node.rest is not None:
        scope.bind(node.rest.value)


def _declare(node: cst.Global | cst.Nonlocal, scope: Scope) -> None:
    scope.elsewhere.update(item.name.value for item in node.names)


_BINDERS: dict[type[cst.CSTNode], Callable[..., None]] = {
    cst.Import: _bind_import,
    cst.ImportFrom: _bind_import,
    cst.Assign: _bind_assignment,
    cst.AnnAssign: _bind_annotated,
    cst.NamedExpr: _bind_annotated,
    cst.AugAssign: _bind_augmented,
    cst.For: _bind_each,
    cst.AsName: _bind_as,
    cst.MatchAs: _bind_as,
    cst.MatchStar: _bind_as,
    cst.MatchMapping: _bind_rest,
    cst.FunctionDef: _bind_definition,
    cst.ClassDef: _bind_definition,
    cst.Global: _declare,
    cst.Nonlocal: _declare,
}
