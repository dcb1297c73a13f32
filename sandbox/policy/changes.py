"""Changing what is not the region's: attributes of modules and of the read-only classes, set by whatever means."""

from collections.abc import Iterable, Iterator

import libcst as cst

from sandbox.policy import rules
from sandbox.policy.finding import Finding, spoken
from sandbox.policy.names import Scope, meanings
from sandbox.policy.tree import literal
from sandbox.policy.verdicts import BUILTINS
from sandbox.policy.vocabulary import FIXED_ATTRIBUTES, MODULE_HOOKS, OPERATOR_OVERRIDES, SETTINGS, TORCH_OPERATORS

_OWN = ("self", "cls")
_SETTERS = (f"{BUILTINS}setattr", f"{BUILTINS}delattr")
_SETTER_METHODS = ("__setattr__", "__delattr__")


def set_attribute(node: cst.Attribute, scope: Scope) -> Iterator[Finding]:
    """What is found in assigning to, or deleting, `x.name`."""
    yield from _changed(node.value, node.attr.value, node, scope)


def call(node: cst.Call, functions: Iterable[str], scope: Scope) -> Iterator[Finding]:
    """What is found in setattr(...), in hooking a module, and in giving one of torch's operators another meaning."""
    method = node.func.attr.value if isinstance(node.func, cst.Attribute) else None
    if node.args and (method in _SETTER_METHODS or any(name in _SETTERS for name in functions)):
        name = literal(node.args[1].value) if len(node.args) > 1 else None
        yield from _changed(node.args[0].value, name or "...", node, scope)
    if isinstance(node.func, cst.Attribute) and method in MODULE_HOOKS and not is_own(node.func.value):
        owners = [name for name in meanings(node.func.value, scope) if not name.startswith(BUILTINS)]
        subject = f"{spoken(owners[0])}.{method}" if owners else f"{method} on what is not an attribute of self"
        yield Finding(rules.PATCH if owners else rules.OTHER_HOOK, subject, node)
    if any(name in OPERATOR_OVERRIDES for name in functions) and node.args:
        operator = literal(node.args[0].value) or ""
        if operator.partition("::")[0] in TORCH_OPERATORS:
            yield Finding(rules.PATCH, f"the operator {operator}", node)


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
    return node.value in (*_OWN, "super")


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
