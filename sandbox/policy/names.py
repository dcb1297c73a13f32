"""What a name stands for: the module or builtin behind it, through imports, aliases and the scopes of Python.

A dotted name begins with a module ("torch.nn.functional.softmax" for `F.softmax`), with "builtins." for what is bound
nowhere, or with "__main__." for what the read-only script defines. Anything else (arguments, local variables, results
of calls) has none: the policy says nothing about it.
"""

from collections.abc import Iterable

import libcst as cst

from sandbox.policy.flow import OWN, Found, Parameter, called_name, last_name
from sandbox.policy.origins import elements, origins, taken, texts
from sandbox.policy.scopes import Default, Element, Meaning, Scope
from sandbox.policy.tree import literal
from sandbox.policy.verdicts import BUILTINS, SCRIPT
from sandbox.policy.vocabulary import MODULES

_MAX_MEANINGS = 16
"""So many things are remembered that one name may stand for."""
_CONSTANTS = ("None", "True", "False")


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


def _kept(node: cst.Attribute, scope: Scope) -> frozenset[str]:
    """What the agent's classes keep under a name of self, of the class, or of one that they have made."""
    name = node.attr.value
    if name not in scope.flow.kept:
        return frozenset()
    homes = (home for owner in _classes(node.value, scope) for home in scope.flow.lineage(owner))
    held = (_names_in(home, key) for home in homes for key in (name, f".{name}") if key in home.meanings)
    return frozenset().union(*held)


def _classes(node: cst.BaseExpression, scope: Scope) -> set[str]:
    """The names of classes that an expression may stand for, or for an object of."""
    if isinstance(node, cst.Name) and node.value in OWN:
        return {str(scope.class_name)}
    made = (called_name(origin.value) for origin in origins(node, scope) if isinstance(origin.value, cst.Call))
    return {name for name in (last_name(node), *made) if name is not None}


def _together(found: Iterable[Found]) -> list[str]:
    return sorted({name for each in found for name in meanings(*each)})[:_MAX_MEANINGS]


def called(node: cst.Call, scope: Scope) -> frozenset[str]:
    """The dotted names that the function of a call may stand for."""
    return meanings(node.func, scope)


def _meanings_of_name(name: str, scope: Scope) -> frozenset[str]:
    if name in _CONSTANTS:
        return frozenset()
    home = scope.find(name)
    return _names_in(home, name) if home is not None else frozenset({f"{BUILTINS}{name}"})


def _names_in(home: Scope, name: str) -> frozenset[str]:
    """What a name stands for that this scope binds."""
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
    if isinstance(meaning, Parameter):
        return home.flow.once(meaning, lambda: _together(home.flow.arguments(meaning)))
    if isinstance(meaning, Default):
        return _dotted_names(*meaning)
    if isinstance(meaning, Element):
        return home.flow.once(meaning, lambda: _together(elements(meaning.container, home)))
    return meanings(meaning, home)


def _meanings_of_call(node: cst.Call, scope: Scope) -> frozenset[str]:
    """Of a function of the agent's what it returns, of {...}.get(key) the elements."""
    found = _reflected(node, scope)
    name = called_name(node)
    if name in scope.flow.results:
        found |= scope.flow.once(name, lambda: _together(scope.flow.results[str(name)]))
    if isinstance(node.func, cst.Attribute):
        found |= scope.flow.once(node, lambda: _together(taken(node, scope)))
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
    whole = meanings(node.value, scope)
    key = item_key(node)
    held = frozenset(name.removesuffix(".__dict__") for name in whole if name.endswith(".__dict__"))
    parts = frozenset(name for name in whole if is_module(name))  # no module has items, so this was a list of it
    parts |= scope.flow.once(node, lambda: _together(taken(node, scope)))
    return parts | (_below(held, key) if key is not None else frozenset())


def item_key(node: cst.Subscript) -> str | None:
    """The literal text between the brackets."""
    index = node.slice[0].slice
    return literal(index.value) if len(node.slice) == 1 and isinstance(index, cst.Index) else None


def _below(names: frozenset[str], attribute: str) -> frozenset[str]:
    return frozenset(f"{name}.{attribute}" for name in names)


def is_module(name: str) -> bool:
    """Whether a dotted name is a module's, as far as can be told without importing anything."""
    return name in MODULES or ("." not in name and not name.startswith((BUILTINS, SCRIPT)))
