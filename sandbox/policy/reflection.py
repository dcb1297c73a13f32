"""Attributes that tell by their own name, however they are read, and what reads names that stand nowhere."""

from collections.abc import Iterable, Iterator

import libcst as cst

from sandbox.policy import changes, rules
from sandbox.policy.finding import Finding, spoken
from sandbox.policy.flow import OWN
from sandbox.policy.names import meanings
from sandbox.policy.origins import texts
from sandbox.policy.scopes import Scope
from sandbox.policy.verdicts import BUILTINS, Verdicts
from sandbox.policy.vocabulary import (
    NAMESPACE_ATTRIBUTES,
    REFLECTING_ATTRIBUTES,
    TELLING_ATTRIBUTES,
    TELLING_KEYWORDS,
)


def attribute(
    node: cst.CSTNode, name: str, owner: cst.BaseExpression, scope: Scope, verdicts: Verdicts
) -> Iterator[Finding]:
    """What is found in reading `owner.name`."""
    if name in REFLECTING_ATTRIBUTES:
        yield Finding(rules.REFLECTION, name, node)
    elif name in NAMESPACE_ATTRIBUTES:
        if owners := _outside(owner, scope):
            yield Finding(rules.REFLECTION, f"{spoken(owners[0])}.{name}", node)
    elif name in TELLING_ATTRIBUTES and not _fine(name, owner, scope, verdicts):
        yield Finding(TELLING_ATTRIBUTES[name], name, node)


def call(node: cst.Call, functions: Iterable[str], scope: Scope, verdicts: Verdicts) -> Iterator[Finding]:
    """What is found in a call by which something is read, made or run that does not stand there."""
    values = [argument.value for argument in node.args]
    for function in functions:
        if function == f"{BUILTINS}getattr" and len(values) > 1:
            yield from _read_by_name(node, values[0], values[1], scope, verdicts)
        elif function == f"{BUILTINS}vars" and values:
            yield from attribute(node, "__dict__", values[0], scope, verdicts)
        elif function in (f"{BUILTINS}vars", f"{BUILTINS}locals") and not scope.in_function:
            yield Finding(rules.REFLECTION, spoken(function), node)
        elif function == f"{BUILTINS}type" and len(values) == 3 and changes.makes_tensors(values[1], scope):
            yield Finding(rules.SUBCLASS, "type(...)", node)
    for argument in node.args:
        start, rule = TELLING_KEYWORDS.get(argument.keyword.value if argument.keyword else "", (None, rules.DYNAMIC))
        if start is not None and any(function.startswith(start) for function in functions):
            yield Finding(rule, f"{spoken(min(functions))}({argument.keyword.value}=...)", node)  # type: ignore[union-attr]


def _read_by_name(
    node: cst.Call, owner: cst.BaseExpression, name: cst.BaseExpression, scope: Scope, verdicts: Verdicts
) -> Iterator[Finding]:
    """getattr(x, "name") is x.name; of a module, a name that is known only when it runs is worth a word."""
    names = texts(name, scope)
    for text in sorted(names):
        yield from attribute(node, text, owner, scope, verdicts)
    if not names and (modules := _outside(owner, scope)):
        yield Finding(rules.INDIRECT, f"getattr({spoken(modules[0])}, ...)", node)


def _fine(name: str, owner: cst.BaseExpression, scope: Scope, verdicts: Verdicts) -> bool:
    """Whether it is an attribute of the region's own class, or the task allows it."""
    own = isinstance(owner, cst.Name) and owner.value in OWN
    return own or verdicts.allowed(f"{owner_name}.{name}" for owner_name in meanings(owner, scope))


def _outside(node: cst.BaseExpression, scope: Scope) -> list[str]:
    """The modules and read-only definitions that an expression may stand for."""
    return [name for name in sorted(meanings(node, scope)) if not name.startswith(BUILTINS)]
