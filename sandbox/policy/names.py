"""What a name stands for: the module or builtin behind it, through imports, aliases and the scopes of Python.

A dotted name begins with a module ("torch.nn.functional.softmax" for `F.softmax`), with "builtins." for what is bound
nowhere, or with "__main__." for what the read-only script defines. Anything else (arguments, local variables, results
of calls) has none: the policy says nothing about it.
"""

from collections.abc import Iterable

import libcst as cst

from sandbox.policy.scopes import Default, Meaning, Scope
from sandbox.policy.tree import literal
from sandbox.policy.verdicts import BUILTINS

_MAX_MEANINGS = 16
"""So many things are remembered that one name may stand for."""
_CONSTANTS = ("None", "True", "False")


def meanings(node: cst.BaseExpression, scope: Scope) -> frozenset[str]:
    """The dotted names that an expression may stand for; none where it is not an import, builtin or script name."""
    if isinstance(node, cst.Name):
        return _meanings_of_name(node.value, scope)
    if isinstance(node, cst.Attribute):
        return _below(meanings(node.value, scope), node.attr.value)
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
    return meanings(meaning.value, meaning.scope) if isinstance(meaning, Default) else meanings(meaning, home)


def _meanings_of_call(node: cst.Call, scope: Scope) -> frozenset[str]:
    """Of getattr(x, "name") what x.name stands for, and of vars(x) what x.__dict__ does."""
    if not isinstance(node.func, cst.Name | cst.Attribute) or not 1 <= len(node.args) <= 3:
        return frozenset()
    if isinstance(node.func, cst.Attribute) and not isinstance(node.func.value, cst.Name):
        return frozenset()
    functions = meanings(node.func, scope)
    subject = node.args[0].value
    if f"{BUILTINS}vars" in functions:
        return _below(meanings(subject, scope), "__dict__")
    name = literal(node.args[1].value) if len(node.args) > 1 else None
    if f"{BUILTINS}getattr" in functions and name is not None:
        return _below(meanings(subject, scope), name)
    return frozenset()


def _meanings_of_item(node: cst.Subscript, scope: Scope) -> frozenset[str]:
    """Of x.__dict__["name"] what x.name stands for; of a list that is written out, any of its elements."""
    if isinstance(node.value, cst.Tuple | cst.List):
        return frozenset().union(*(meanings(element.value, scope) for element in node.value.elements))
    key = item_key(node)
    held = {name.removesuffix(".__dict__") for name in meanings(node.value, scope) if name.endswith(".__dict__")}
    return _below(frozenset(held), key) if key is not None else frozenset()


def item_key(node: cst.Subscript) -> str | None:
    """The literal text between the brackets."""
    index = node.slice[0].slice
    return literal(index.value) if len(node.slice) == 1 and isinstance(index, cst.Index) else None


def _below(names: frozenset[str], attribute: str) -> frozenset[str]:
    return frozenset(f"{name}.{attribute}" for name in names)
