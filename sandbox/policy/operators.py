"""Operators of torch: those in a namespace of the region's own are its business, another meaning for torch's is not."""

from collections.abc import Iterable, Iterator

import libcst as cst

from sandbox.policy import rules
from sandbox.policy.finding import Finding
from sandbox.policy.names import meanings
from sandbox.policy.origins import texts
from sandbox.policy.scopes import Scope
from sandbox.policy.vocabulary import LIBRARY_METHODS, OPERATOR_OVERRIDES, TORCH_OPERATORS

_OPERATORS = "torch.ops."


def override(node: cst.Call, functions: Iterable[str], scope: Scope) -> Iterator[Finding]:
    """What is found in a call that gives an operator a meaning, where that operator is one of torch's own."""
    method = isinstance(node.func, cst.Attribute) and node.func.attr.value in LIBRARY_METHODS
    if not method and not any(name in OPERATOR_OVERRIDES for name in functions):
        return
    for argument in node.args:
        named = texts(argument.value, scope)
        reached = {name.removeprefix(_OPERATORS) for name in meanings(argument.value, scope) if _is_operator(name)}
        for operator in sorted(named | reached):
            if operator.replace(".", "::").partition("::")[0] in TORCH_OPERATORS and (not method or "::" in operator):
                yield Finding(rules.PATCH, f"the operator {operator}", node)
                return


def _is_operator(name: str) -> bool:
    return name.startswith(_OPERATORS)
