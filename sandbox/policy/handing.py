"""Modules, and the functions that read attributes by name, handed on to where nobody can read what is used of them."""

from collections.abc import Iterable, Iterator

import libcst as cst

from sandbox.policy import rules
from sandbox.policy.finding import Finding, spoken
from sandbox.policy.flow import OWN, called_name
from sandbox.policy.names import is_module, meanings
from sandbox.policy.origins import elements
from sandbox.policy.scopes import Scope
from sandbox.policy.vocabulary import HARMLESS_READERS, INDIRECT_FUNCTIONS

_READ = 2
"""Arguments of those functions that only read; the third of setattr is kept."""


def module(node: cst.BaseExpression | None, scope: Scope) -> Iterator[Finding]:
    """What is found in giving away this value: a module, or a list or dictionary that holds one."""
    if node is None:
        return
    inside = [meanings(*element) for element in elements(node, scope)]
    for name in sorted(meanings(node, scope).union(*inside)):
        if is_module(name):
            yield Finding(rules.HANDED, name, node)
            return


def arguments(node: cst.Call, functions: Iterable[str], scope: Scope) -> Iterator[Finding]:
    """What is found in the arguments of a call, unless what becomes of them is known."""
    known = called_name(node) in scope.flow.followed and not any(functions)
    reads = any(name in HARMLESS_READERS for name in functions)
    for place, argument in enumerate(node.args):
        if argument.star or not (known or (reads and place < _READ)):
            yield from module(argument.value, scope)


def operands(node: cst.BinaryOperation | cst.Comparison) -> Iterator[cst.BaseExpression]:
    """The operands of an operator that their classes define; `is` reads nothing of them."""
    if isinstance(node, cst.BinaryOperation):
        yield from (node.left, node.right)
    elif not all(isinstance(part.operator, cst.Is | cst.IsNot) for part in node.comparisons):
        yield from (node.left, *(part.comparator for part in node.comparisons))


def kept(target: cst.BaseExpression, value: cst.BaseExpression, scope: Scope) -> Iterator[Finding]:
    """What is found in keeping a value as an item, or as an attribute of something else than self."""
    own = isinstance(target, cst.Attribute) and isinstance(target.value, cst.Name) and target.value.value in OWN
    if isinstance(target, cst.Attribute | cst.Subscript) and not own:
        yield from module(value, scope)


def function(node: cst.Name, names: Iterable[str]) -> Iterator[Finding]:
    """What is found in reading getattr and its like without calling it."""
    for name in sorted(names):
        if name in INDIRECT_FUNCTIONS:
            yield Finding(rules.HANDED, spoken(name), node)
            return


def reads_by_name(functions: Iterable[str]) -> bool:
    """Whether a call is one of getattr or its like, and of nothing else."""
    return bool(functions) and all(name in INDIRECT_FUNCTIONS for name in functions)
