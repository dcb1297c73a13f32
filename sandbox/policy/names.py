"""What a name stands for: the module or builtin behind it, through imports, aliases and the scopes of Python.

A dotted name begins with a module ("torch.nn.functional.softmax" for `F.softmax`), with "builtins." for what is bound
nowhere, or with "__main__." for what the read-only script defines. Anything else (arguments, local variables, results
of calls) has none: the policy says nothing about it.
"""

from collections.abc import Iterable, Iterator
from functools import partial

import libcst as cst

from sandbox.policy.flow import OWN, Found, Parameter, called_name
from sandbox.policy.scopes import Default, Element, Meaning, Scope
from sandbox.policy.tree import literal
from sandbox.policy.verdicts import BUILTINS

_MAX_MEANINGS = 16
"""So many things are remembered that one name may stand for."""
_MAX_ORIGINS = 64
"""So many expressions are looked at for what one name was set to."""
_CONSTANTS = ("None", "True", "False")
_CONTAINERS = (cst.Tuple, cst.List, cst.Set, cst.Dict)
_TAKES_ELEMENT = ("get", "pop", "setdefault", "popitem", "__getitem__")
"""Methods of lists and dictionaries that give one of their elements."""


def meanings(node: cst.BaseExpression, scope: Scope) -> frozenset[str]:
    """The dotted names that an expression may stand for; none where it is not an import, builtin or script name."""
    if isinstance(node, cst.Name):
        return _meanings_of_name(node.value, scope)
    if isinstance(node, cst.Attribute):
        return _below(meanings(node.value, scope), node.attr.value) | _kept(node, scope)
    if isinstance(node, cst.NamedExpr):
        return meanings(node.value, scope)
    if isinstance(node, cst.IfExp):
        return meanings(node.body, scope) | meanings(node.orelse, scope)
    if isinstance(node, cst.BooleanOperation):
        return meanings(node.left, scope) | meanings(node.right, scope)
    if isinstance(node, cst.Call):
        return _meanings_of_call(node, scope)
    if isinstance(node, cst.Subscript):
        return _meanings_of_item(node, scope)
    return frozenset()


def origins(node: cst.BaseExpression, scope: Scope) -> list[Found]:
    """The expressions that a name was set to, or given as an argument; of anything else, itself."""
    found: list[Found] = []
    waiting, seen = [Found(node, scope)], {id(node)}
    while waiting and len(seen) < _MAX_ORIGINS:
        at = waiting.pop()
        if isinstance(at.value, cst.NamedExpr):
            waiting.append(Found(at.value.value, at.scope))
        elif isinstance(at.value, cst.Name):
            behind = [other for other in _bound(at.value.value, at.scope) if id(other.value) not in seen]
            seen.update(id(other.value) for other in behind)
            waiting += behind
        else:
            found.append(at)
    return found


def _bound(name: str, scope: Scope) -> Iterator[Found]:
    home = scope.find(name)
    for meaning in home.meanings[name] if home is not None else ():
        if isinstance(meaning, Parameter):
            yield from scope.flow.arguments(meaning)
        elif isinstance(meaning, Default):
            yield Found(*meaning)
        elif isinstance(meaning, cst.BaseExpression) and home is not None:
            yield Found(meaning, home)


def texts(node: cst.BaseExpression, scope: Scope) -> frozenset[str]:
    """The literal texts that an expression may stand for."""
    found = (literal(origin.value) for origin in origins(node, scope))
    return frozenset(text for text in found if text is not None)


def elements(node: cst.BaseExpression, scope: Scope) -> Iterator[Found]:
    """The elements of the lists, tuples, sets and dictionaries, written out, that an expression may stand for."""
    for origin in origins(node, scope):
        if isinstance(origin.value, _CONTAINERS):
            for element in origin.value.elements:
                yield Found(element.value, origin.scope)


def _meanings_of_elements(node: cst.BaseExpression, scope: Scope) -> frozenset[str]:
    """Of each container once, as it may hold elements of its own: x = (x[0], y)."""
    held = (
        scope.flow.once(origin.value, partial(_together_of, origin))
        for origin in origins(node, scope)
        if isinstance(origin.value, _CONTAINERS)
    )
    return frozenset().union(*held)


def _together_of(container: Found) -> list[str]:
    return _together(elements(*container))


def _kept(node: cst.Attribute, scope: Scope) -> frozenset[str]:
    """What the agent's classes keep under a name of self, or of the class."""
    if not isinstance(node.value, cst.Name):
        return frozenset()
    owner = scope.class_name if node.value.value in OWN else node.value.value
    key = (str(owner), node.attr.value)
    if key not in scope.flow.kept:
        return frozenset()
    return scope.flow.once(key, lambda: _together(scope.flow.kept[key]))


def _together(found: Iterable[Found]) -> list[str]:
    return sorted({name for each in found for name in meanings(*each)})[:_MAX_MEANINGS]


def called(node: cst.Call, scope: Scope) -> frozenset[str]:
    """The dotted names that the function of a call may stand for."""
    return meanings(node.func, scope)


def _meanings_of_name(name: str, scope: Scope) -> frozenset[str]:
    if name in _CONSTANTS:
        return frozenset()
    home = scope.find(name)
    if home is None:
        return frozenset({f"{BUILTINS}{name}"})
    if name not in home.known:
        home.known[name] = frozenset()
        found: set[str] = set()
        for meaning in home.meanings[name]:
            found.update(_dotted_names(meaning, home))
        home.known[name] = frozenset(sorted(found)[:_MAX_MEANINGS])
    return home.known[name]


def _dotted_names(meaning: Meaning, home: Scope) -> Iterable[str]:
    if meaning is None:
        return ()
    if isinstance(meaning, str):
        return (meaning,)
    if isinstance(meaning, Default):
        return meanings(*meaning)
    if isinstance(meaning, Parameter):
        return home.flow.once(meaning, lambda: _together(home.flow.arguments(meaning)))
    return _meanings_of_elements(meaning.container, home) if isinstance(meaning, Element) else meanings(meaning, home)


def _meanings_of_call(node: cst.Call, scope: Scope) -> frozenset[str]:
    """Of a function of the agent's what it returns, of {...}.get(key) the elements."""
    found = _reflected(node, scope)
    name = called_name(node)
    if name in scope.flow.results:
        found |= scope.flow.once(name, lambda: _together(scope.flow.results[str(name)]))
    if name in _TAKES_ELEMENT and isinstance(node.func, cst.Attribute):
        found |= _meanings_of_elements(node.func.value, scope)
    return found


def _reflected(node: cst.Call, scope: Scope) -> frozenset[str]:
    """Of getattr(x, "name") what x.name stands for, and of vars(x) what x.__dict__ does."""
    if not isinstance(node.func, cst.Name | cst.Attribute) or not 1 <= len(node.args) <= 3:
        return frozenset()
    if isinstance(node.func, cst.Attribute) and not isinstance(node.func.value, cst.Name):
        return frozenset()
    functions = meanings(node.func, scope)
    subject = node.args[0].value
    if f"{BUILTINS}vars" in functions:
        return _below(meanings(subject, scope), "__dict__")
    if f"{BUILTINS}getattr" not in functions or len(node.args) == 1:
        return frozenset()
    owners = meanings(subject, scope)
    return frozenset().union(*(_below(owners, name) for name in texts(node.args[1].value, scope)))


def _meanings_of_item(node: cst.Subscript, scope: Scope) -> frozenset[str]:
    """Of x.__dict__["name"] what x.name stands for; of a list that is written out, any of its elements."""
    key = item_key(node)
    held = {name.removesuffix(".__dict__") for name in meanings(node.value, scope) if name.endswith(".__dict__")}
    return _meanings_of_elements(node.value, scope) | (_below(frozenset(held), key) if key is not None else frozenset())


def item_key(node: cst.Subscript) -> str | None:
    """The literal text between the brackets."""
    index = node.slice[0].slice
    return literal(index.value) if len(node.slice) == 1 and isinstance(index, cst.Index) else None


def _below(names: frozenset[str], attribute: str) -> frozenset[str]:
    return frozenset(f"{name}.{attribute}" for name in names)
