"""Learns what flows in the agent's code: calls, results, classes, and what is kept on self, before it is read."""

from collections.abc import Iterable, Iterator

import libcst as cst

from sandbox.policy.binding import COMPREHENSIONS, class_scope, comprehension_scope, function_scope, leaves
from sandbox.policy.flow import OWN, Found, called_name, is_special, last_name
from sandbox.policy.scopes import Default, Element, Scope, Value
from sandbox.policy.tree import children

_PROPERTIES = ("property", "cached_property")


def learn(code: Iterable[tuple[cst.CSTNode, Scope]]) -> None:
    """Note what flows in these statements, each given with its scope."""
    waiting = list(code)
    while waiting:
        node, scope = waiting.pop()
        if isinstance(node, cst.Call):
            name = called_name(node)
            if name is not None:
                scope.flow.calls.setdefault(name, []).append((node, scope))
        elif isinstance(node, cst.Return) and node.value is not None:
            _note_result(node.value, scope)
        elif isinstance(node, cst.FunctionDef | cst.ClassDef):
            _note_definition(node, scope)
        else:
            _note_kept(node, scope)
        waiting += _parts(node, scope)


def _parts(node: cst.CSTNode, scope: Scope) -> Iterator[tuple[cst.CSTNode, Scope]]:
    """What stands right below a node, each with the scope that it stands in."""
    inner = scope
    outside: tuple[cst.CSTNode | None, ...] = ()
    if isinstance(node, cst.FunctionDef):
        inner, outside = function_scope(node, scope), (*node.decorators, node.params, node.returns)
        inner.is_property = any(last_name(part.decorator) in _PROPERTIES for part in node.decorators)
    elif isinstance(node, cst.Lambda):
        inner, outside = function_scope(node, scope), (node.params,)
    elif isinstance(node, cst.ClassDef):
        inner, outside = class_scope(node, scope), (*node.decorators, *node.bases, *node.keywords)
    elif isinstance(node, COMPREHENSIONS):
        inner = comprehension_scope(node, scope)
    for part in children(node):
        yield part, scope if any(part is other for other in outside) else inner


def _note_definition(node: cst.FunctionDef | cst.ClassDef, scope: Scope) -> None:
    name = node.name.value
    if isinstance(node, cst.ClassDef):
        bases = {last_name(base.value) for base in node.bases}
        scope.flow.bases.setdefault(name, set()).update(base for base in bases if base is not None)
    elif name in ("__init__", "__new__") and scope.is_class:
        scope.flow.followed.add(str(scope.name))
    elif not is_special(name):
        scope.flow.followed.add(name)


def _note_result(value: cst.BaseExpression, scope: Scope) -> None:
    if scope.name is None:
        return
    scope.flow.results.setdefault(scope.name, []).append(Found(value, scope))
    if scope.is_property:
        _keep(scope.name, value, scope)


def _note_kept(node: cst.CSTNode, scope: Scope) -> None:
    """What an assignment or a loop keeps on self."""
    if isinstance(node, cst.Assign):
        found = [leaf for target in node.targets for leaf in leaves(target.target, node.value)]
    elif isinstance(node, cst.AnnAssign) and node.value is not None:
        found = list(leaves(node.target, node.value))
    elif isinstance(node, cst.For | cst.CompFor):
        found = list(leaves(node.target, Element(node.iter)))
    else:
        return
    for target, value in found:
        if isinstance(target, cst.Attribute) and isinstance(target.value, cst.Name) and target.value.value in OWN:
            _keep(target.attr.value, value, scope)


def _keep(name: str, value: Value, scope: Scope) -> None:
    for home in scope.flow.classes.get(str(scope.class_name), ()):
        home.bind(f".{name}", Default(value, scope))
        scope.flow.kept.add(name)
