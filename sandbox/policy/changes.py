"""Changing what is not the region's: attributes of modules and of the read-only classes, set by whatever means."""

from collections.abc import Iterable, Iterator

import libcst as cst

from sandbox.policy import operators, rules
from sandbox.policy.finding import Finding, spoken
from sandbox.policy.flow import OWN, Parameter
from sandbox.policy.names import meanings
from sandbox.policy.origins import elements, origins, texts
from sandbox.policy.scopes import Scope
from sandbox.policy.verdicts import BUILTINS
from sandbox.policy.vocabulary import (
    CALLED_METHODS,
    CHANGING_FUNCTIONS,
    DEFINITIONS,
    ENVIRONMENT,
    FIXED_ATTRIBUTES,
    MODULE_HOOKS,
    MUTATORS,
    SETTINGS,
    SETTINGS_THAT_RUN,
)

_SETTERS = (f"{BUILTINS}setattr", f"{BUILTINS}delattr")
_BOUND_ARGUMENTS = {"__setattr__": 2, "__delattr__": 1}
"""Methods that set or delete, with how many arguments they take of the object itself, and not of its class."""


def set_attribute(node: cst.Attribute, scope: Scope) -> Iterator[Finding]:
    """What is found in assigning to, or deleting, `x.name`."""
    yield from _changed(node.value, node.attr.value, node, scope)


def set_item(node: cst.Subscript, scope: Scope) -> Iterator[Finding]:
    """What is found in assigning to, or deleting, `x[...]`: where x is held by a module, that is not the region's."""
    for name in _held(node.value, scope):
        if name != ENVIRONMENT:
            yield Finding(_rule(name), f"an assignment to {spoken(name)}[...]", node)
            return


def call(node: cst.Call, functions: Iterable[str], scope: Scope) -> Iterator[Finding]:
    """What is found in setattr(...), in hooking a module, and in giving one of torch's operators another meaning."""
    yield from _setter(node, functions, scope)
    yield from _decorated(node, functions, scope)
    yield from operators.override(node, functions, scope)
    if isinstance(node.func, cst.Attribute):
        yield from _hook(node, node.func, scope)
        yield from _mutation(node, node.func, scope)


def _setter(node: cst.Call, functions: Iterable[str], scope: Scope) -> Iterator[Finding]:
    """setattr(x, name, value), type.__setattr__(x, name, value), x.__setattr__(name, value), and deleting likewise."""
    values = [argument.value for argument in node.args]
    if isinstance(node.func, cst.Attribute) and node.func.attr.value in _BOUND_ARGUMENTS:
        if len(values) == _BOUND_ARGUMENTS[node.func.attr.value]:
            values.insert(0, node.func.value)
    elif not any(name in _SETTERS for name in functions):
        return
    if len(values) > 1:
        for name in sorted(texts(values[1], scope)) or ["..."]:
            yield from _changed(values[0], name, node, scope)


def _decorated(node: cst.Call, functions: Iterable[str], scope: Scope) -> Iterator[Finding]:
    """A function that changes what it is given first, or what it decorates, given what is not the region's."""
    changing = CHANGING_FUNCTIONS
    if isinstance(node.func, cst.Call):  # functools.wraps(f)(x)
        functions, changing = meanings(node.func.func, scope), CHANGING_FUNCTIONS | {"functools.wraps"}
    if node.args and any(name in changing for name in functions):
        for name in _held(node.args[0].value, scope):
            if name != ENVIRONMENT:
                yield Finding(rules.PATCH, f"a change to {spoken(name)}", node)
                return


def _hook(node: cst.Call, function: cst.Attribute, scope: Scope) -> Iterator[Finding]:
    hook = function.attr.value
    if hook not in MODULE_HOOKS or is_own(function.value):
        return
    owners = [name for name in sorted(meanings(function.value, scope)) if not name.startswith(BUILTINS)]
    if owners:
        yield Finding(rules.PATCH, f"{spoken(owners[0])}.{hook}", node)
    else:
        yield Finding(rules.OTHER_HOOK, f"{hook} on what is not an attribute of self", node)


def _mutation(node: cst.Call, function: cst.Attribute, scope: Scope) -> Iterator[Finding]:
    """A module's own lists and dictionaries, which are private, changed by a method."""
    if function.attr.value not in MUTATORS:
        return
    for name in _held(function.value, scope):
        if name.rpartition(".")[2].startswith("_"):
            yield Finding(rules.PATCH, f"{spoken(name)}.{function.attr.value}", node)
            return


def _held(node: cst.BaseExpression, scope: Scope) -> list[str]:
    """What of a module, or of the read-only code, an expression may stand for."""
    return [name for name in sorted(meanings(node, scope)) if "." in name and not name.startswith(BUILTINS)]


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
    if attribute in DEFINITIONS:
        yield Finding(DEFINITIONS[attribute], f"an assignment to {attribute}", node)
        return
    for name in sorted(meanings(owner, scope)):
        if name.startswith(BUILTINS):
            continue
        yield Finding(_rule(f"{name}.{attribute}"), f"an assignment to {spoken(name)}.{attribute}", node)
        return
    if is_class_of_another(owner, scope):
        yield Finding(rules.PATCH, f"an assignment to {attribute} of another object's class", node)
    elif attribute in CALLED_METHODS and _comes_from_anywhere(owner, scope):
        yield Finding(rules.PATCH, f"an assignment to {attribute} of what this function is given", node)


def _rule(name: str) -> rules.Rule:
    """The rule on setting what has this name: a setting is there to be set, but for those that are code."""
    held, _, attribute = name.rpartition(".")
    is_setting = any(held == setting or held.startswith(f"{setting}.") for setting in SETTINGS)
    return rules.SETTING if is_setting and not SETTINGS_THAT_RUN.search(attribute) else rules.PATCH


def _comes_from_anywhere(owner: cst.BaseExpression, scope: Scope) -> bool:
    """Whether this is an argument of a function that is called where nobody can read with what."""
    if not isinstance(owner, cst.Name) or owner.value in OWN:
        return False
    home = scope.find(owner.value)
    bound = home.meanings[owner.value] if home is not None else []
    return any(isinstance(each, Parameter) and not any(scope.flow.arguments(each)) for each in bound)


def is_class_of_another(node: cst.BaseExpression, scope: Scope) -> bool:
    """Whether this is type(x) or x.__class__ where x is not self."""
    return any(_is_class(*origin) for origin in origins(node, scope))


def _is_class(node: cst.BaseExpression, scope: Scope) -> bool:
    owner: cst.BaseExpression | None = None
    if isinstance(node, cst.Attribute) and node.attr.value == "__class__":
        owner = node.value
    elif isinstance(node, cst.Call) and len(node.args) == 1 and f"{BUILTINS}type" in meanings(node.func, scope):
        owner = node.args[0].value
    return owner is not None and not (isinstance(owner, cst.Name) and owner.value in OWN)


def makes_tensors(node: cst.BaseExpression, scope: Scope) -> bool:
    """Whether a base of a class, or one of several in a tuple, is the class of tensors, or of some object."""
    names = meanings(node, scope).union(*(meanings(*element) for element in elements(node, scope)))
    return any(name.rpartition(".")[2] == "Tensor" and name.startswith("torch") for name in names) or (
        is_class_of_another(node, scope)
    )
