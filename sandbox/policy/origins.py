"""Where a value comes from: the expressions that names, arguments, results and elements of lists were set to."""

from collections.abc import Iterator

import libcst as cst

from sandbox.policy.flow import Found, Parameter, called_name
from sandbox.policy.scopes import Default, Element, Scope, Value
from sandbox.policy.tree import literal

_MOST = 64
"""So many steps are gone back."""
_DEEPEST = 4
"""Lists within lists."""
_CONTAINERS = (cst.Tuple, cst.List, cst.Set, cst.Dict)
_WRITTEN = (*_CONTAINERS, cst.BaseSimpleComp, cst.DictComp)
_TAKES_ELEMENT = ("get", "pop", "setdefault", "popitem", "copy", "values", "items", "__getitem__")
"""Methods of lists and dictionaries that give their elements."""


def origins(node: Value, scope: Scope) -> list[Found]:
    """The expressions that a name was set to, or given as an argument; of anything else, itself."""
    found: list[Found] = []
    waiting: list[tuple[Value, Scope]] = [(node, scope)]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST:
        value, home = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        container = _container(value)
        behind = list(_behind(value, home)) if container is None else elements(container, home)
        waiting += behind
        if not behind and isinstance(value, cst.BaseExpression) and not isinstance(value, cst.Name):
            found.append(Found(value, home))
    return found


def elements(node: Value, scope: Scope) -> list[Found]:
    """The elements of the lists, tuples, sets and dictionaries, written out, that an expression may stand for."""
    found: list[Found] = []
    waiting: list[tuple[Value, Scope, int]] = [(node, scope, 1)]
    seen: set[tuple[int, int]] = set()
    while waiting and len(seen) < _MOST:
        value, home, level = waiting.pop()
        if (id(value), level) in seen or level > _DEEPEST:
            continue
        seen.add((id(value), level))
        container = _container(value)
        if isinstance(value, _WRITTEN):
            for starred, element, inside in _held(value, home):
                if starred or level > 1:
                    waiting.append((element, inside, level if starred else level - 1))
                else:
                    found.append(Found(element, inside))
        elif container is not None:
            waiting.append((container, home, level + 1))
        else:
            waiting += ((*behind, level) for behind in _behind(value, home))
    return found


def taken(node: cst.BaseExpression, scope: Scope) -> list[Found]:
    """What a subscript, or a method such as `get`, may take out of a list or a dictionary; of anything else nothing."""
    container = _container(node)
    return [] if container is None else elements(container, scope)


def texts(node: cst.BaseExpression, scope: Scope) -> frozenset[str]:
    """The literal texts that an expression may stand for."""
    found = (literal(origin.value) for origin in origins(node, scope))
    return frozenset(text for text in found if text is not None)


def _held(node: cst.BaseExpression, scope: Scope) -> Iterator[tuple[bool, cst.BaseExpression, Scope]]:
    """The values in a list or dictionary that is written out, and whether each is unpacked there."""
    if isinstance(node, cst.BaseSimpleComp):
        yield False, node.elt, scope.flow.scopes.get(node, scope)
    elif isinstance(node, cst.DictComp):
        yield False, node.value, scope.flow.scopes.get(node, scope)
    elif isinstance(node, _CONTAINERS):
        for element in node.elements:
            yield isinstance(element, cst.StarredElement | cst.StarredDictElement), element.value, scope


def _container(value: Value) -> Value | None:
    """What an expression takes an element of; None where it is no such thing."""
    if isinstance(value, Element):
        return value.container
    if isinstance(value, cst.Subscript):
        return value.value
    if isinstance(value, cst.Call) and isinstance(value.func, cst.Attribute):
        return value.func.value if value.func.attr.value in _TAKES_ELEMENT else None
    return None


def _behind(value: Value, scope: Scope) -> Iterator[tuple[Value, Scope]]:
    """What an expression passes on as it is, one step back."""
    if isinstance(value, cst.Name):
        yield from _bound(value.value, scope)
    elif isinstance(value, cst.NamedExpr):
        yield value.value, scope
    elif isinstance(value, cst.IfExp):
        yield from ((value.body, scope), (value.orelse, scope))
    elif isinstance(value, cst.BooleanOperation):
        yield from ((value.left, scope), (value.right, scope))
    elif isinstance(value, cst.Call):
        yield from scope.flow.results.get(called_name(value) or "", ())


def _bound(name: str, scope: Scope) -> Iterator[tuple[Value, Scope]]:
    home = scope.find(name)
    for meaning in home.meanings[name] if home is not None else ():
        if isinstance(meaning, Parameter):
            yield from scope.flow.arguments(meaning)
        elif isinstance(meaning, Default):
            yield meaning
        elif isinstance(meaning, cst.BaseExpression | Element) and home is not None:
            yield meaning, home
