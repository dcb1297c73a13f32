"""Changing what is not the region's: attributes of modules and of the read-only classes, set by whatever means."""

from collections.abc import Iterable, Iterator

import libcst as cst

from sandbox.policy import rules
from sandbox.policy.finding import Finding, spoken
from sandbox.policy.names import meanings
from sandbox.policy.scopes import Scope
from sandbox.policy.tree import literal
from sandbox.policy.verdicts import BUILTINS
from sandbox.policy.vocabulary import FIXED_ATTRIBUTES, MODULE_HOOKS, OPERATOR_OVERRIDES, SETTINGS, TORCH_OPERATORS

OWN = ("self", "cls")
"""What a method calls the object, or the class, that it belongs to."""
_SETTERS = (f"{BUILTINS}setattr", f"{BUILTINS}delattr")
_BOUND_ARGUMENTS = {"__setattr__": 2, "__delattr__": 1}
"""Methods that set or delete, with how many arguments they take of the object itself, and not of its class."""


def set_attribute(node: cst.Attribute, scope: Scope) -> Iterator[Finding]:
    """What is found in assigning to, or deleting, `x.name`."""
    yield from _changed(node.value, node.attr.value, node, scope)


def call(node: cst.Call, functions: Iterable[str], scope: Scope) -> Iterator[Finding]:
    """What is found in setattr(...), in hooking a module, and in giving one of torch's operators another meaning."""
    yield from _setter(node, functions, scope)
    yield from _hook(node, scope)
    if any(name in OPERATOR_OVERRIDES for name in functions) and node.args:
        operator = literal(node.args[0].value) or ""
        if operator.partition("::")[0] in TORCH_OPERATORS:
            yield Finding(rules.PATCH, f"the operator {operator}", node)


def _setter(node: cst.Call, functions: Iterable[str], scope: Scope) -> Iterator[Finding]:
    """setattr(x, name, value), type.__setattr__(x, name, value), x.__setattr__(name, value), and deleting likewise."""
    values = [argument.value for argument in node.args]
    if isinstance(node.func, cst.Attribute) and node.func.attr.value in _BOUND_ARGUMENTS:
        if len(values) == _BOUND_ARGUMENTS[node.func.attr.value]:
            values.insert(0, node.func.value)
    elif not any(name in _SETTERS for name in functions):
        return
    if len(values) > 1:
        yield from _changed(values[0], literal(values[1]) or "...", node, scope)


def _hook(node: cst.Call, scope: Scope) -> Iterator[Finding]:
    if not isinstance(node.func, cst.Attribute) or node.func.attr.value not in MODULE_HOOKS or is_own(node.func.value):
        return
    hook = node.func.attr.value
    owners = [name for name in sorted(meanings(node.func.value, scope)) if not name.startswith(BUILTINS)]
    if owners:
        yield Finding(rules.PATCH, f"{spoken(owners[0])}.{hook}", node)
    else:
        yield Finding(rules.OTHER_HOOK, f"{hook} on what is not an attribute of self", node)


def is_own(node: cst.BaseExpression) -> bool:
    """Whether an expression begins with self or cls: self.layers[0].norm."""
    while not isinstance(node, cst.Name):
        if isinstance(node, cst.Attribute | cst.Subscript):
            node = node.value
        elif isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
            node = node.func
        elif isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.args:
            node = node.args[0].value if node.func.value == "type" else node.func
        else:
            return False
    return node.value in (*OWN, "super")


def _changed(owner: cst.BaseExpression, attribute: str, node: cst.CSTNode, scope: Scope) -> Iterator[Finding]:
    if attribute in FIXED_ATTRIBUTES:
        yield Finding(rules.REFLECTION, f"an assignment to {attribute}", node)
        return
    for name in sorted(meanings(owner, scope)):
        if name.startswith(BUILTINS):
            continue
        rule = rules.SETTING if _is_setting(name) else rules.PATCH
        yield Finding(rule, f"an assignment to {spoken(name)}.{attribute}", node)
        return
    if _is_class_of_another(owner, scope):
        yield Finding(rules.PATCH, f"an assignment to {attribute} of another object's class", node)


def _is_setting(name: str) -> bool:
    return any(name == setting or name.startswith(f"{setting}.") for setting in SETTINGS)


def _is_class_of_another(owner: cst.BaseExpression, scope: Scope) -> bool:
    """Whether this is type(x) or x.__class__ where x is not self."""
    if isinstance(owner, cst.Attribute) and owner.attr.value == "__class__":
        return not is_own(owner.value)
    if isinstance(owner, cst.Call) and len(owner.args) == 1 and f"{BUILTINS}type" in meanings(owner.func, scope):
        return not is_own(owner.args[0].value)
    return False
