"""Which names a statement, a function, a class or a comprehension binds, and to what."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import libcst as cst

from sandbox.policy.flow import Parameter
from sandbox.policy.scopes import Default, Element, Scope, Value
from sandbox.policy.tree import children

COMPREHENSIONS = (cst.ListComp, cst.SetComp, cst.DictComp, cst.GeneratorExp)
_INNER_SCOPES = (cst.FunctionDef, cst.ClassDef, cst.Lambda, *COMPREHENSIONS)


def function_scope(node: cst.FunctionDef | cst.Lambda, parent: Scope) -> Scope:
    """The scope inside a function: its arguments and what its body binds."""
    if node in parent.flow.scopes:
        return parent.flow.scopes[node]
    scope = parent.flow.scopes[node] = Scope(
        parent, name=node.name.value if isinstance(node, cst.FunctionDef) else None
    )
    arguments = node.params
    for place, argument in enumerate((*arguments.posonly_params, *arguments.params, *arguments.kwonly_params)):
        scope.bind(argument.name.value, Default(argument.default, parent) if argument.default else None)
        _bind_parameter(scope, parent, argument.name.value, place)
    for star in (arguments.star_arg, arguments.star_kwarg):
        if isinstance(star, cst.Param):
            _bind_parameter(scope, parent, star.name.value, 0, takes_all=True)
    bind_all([node.body], scope)
    _bind_elsewhere(scope)
    return scope


def _bind_parameter(scope: Scope, parent: Scope, name: str, place: int, *, takes_all: bool = False) -> None:
    if scope.name is None:
        scope.bind(name)
        return
    constructs = parent.is_class and scope.name in ("__init__", "__new__")
    places = (place - 1, place) if parent.is_class else (place,)
    scope.bind(name, Parameter(str(parent.name) if constructs else scope.name, name, places, takes_all))


def _bind_elsewhere(scope: Scope) -> None:
    """What a function sets of names that it declares global or nonlocal stands for something there."""
    for name in scope.elsewhere:
        home = scope.find(name) or scope.top
        for meaning in scope.meanings.get(name, ()):
            is_local = isinstance(meaning, cst.BaseExpression | Element)
            home.bind(name, Default(meaning, scope) if is_local else meaning)  # type: ignore[arg-type]


def class_scope(node: cst.ClassDef, parent: Scope) -> Scope:
    """The scope inside a class body."""
    if node in parent.flow.scopes:
        return parent.flow.scopes[node]
    scope = parent.flow.scopes[node] = Scope(parent, is_class=True, name=node.name.value)
    bind_all([node.body], scope)
    parent.flow.kept.update(scope.meanings)
    parent.flow.classes.setdefault(node.name.value, []).append(scope)
    return scope


def comprehension_scope(node: cst.BaseSimpleComp | cst.DictComp, parent: Scope) -> Scope:
    """The scope inside a comprehension."""
    if node in parent.flow.scopes:
        return parent.flow.scopes[node]
    scope = parent.flow.scopes[node] = Scope(parent)
    loop: cst.CompFor | None = node.for_in
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
        if isinstance(node, COMPREHENSIONS):
            _bind_walruses(node, scope)
        elif not isinstance(node, _INNER_SCOPES):
            waiting.extend(children(node))


def _bind_walruses(node: cst.CSTNode, scope: Scope) -> None:
    """A := in a comprehension binds a name around it."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, cst.NamedExpr):
            _bind_annotated(part, scope)
        if part is node or not isinstance(part, cst.Lambda):
            waiting.extend(children(part))


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


def leaves(target: cst.BaseExpression, value: Value) -> Iterator[tuple[cst.BaseExpression, Value]]:
    """What is assigned to each single target: element by element where a tuple is set to one of the same length."""
    if not isinstance(target, cst.Tuple | cst.List):
        yield target, value
        return
    values: Sequence[cst.BaseElement] = value.elements if isinstance(value, cst.Tuple | cst.List) else ()
    paired = len(values) == len(target.elements)
    for number, element in enumerate(target.elements):
        yield from leaves(element.value, values[number].value if paired else Element(value))


def _bind_value(target: cst.BaseExpression, value: Value, scope: Scope) -> None:
    for leaf, own in leaves(target, value):
        if isinstance(leaf, cst.Name):
            scope.bind(leaf.value, own)


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
        _bind_value(node.target, Element(node.iter), scope)


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
