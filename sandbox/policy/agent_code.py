"""Which code of a script is the agent's: the statements in its regions, each with the scope that it stands in.

libcst knows no lines until it writes the whole file out again, so its tree is walked beside the compiler's, which has
them: both hold the same statements in the same order. Frozen statements are passed over without a look.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import libcst as cst

from sandbox.guards.script import Script
from sandbox.policy.binding import bind_all, class_scope, function_scope
from sandbox.policy.scopes import Scope
from sandbox.policy.tree import children
from sandbox.policy.verdicts import SCRIPT

Code = tuple[cst.CSTNode, Scope]
"""A statement, or a part of one, and the scope that it stands in."""

Twin = TypeVar("Twin", bound=ast.AST)
"""What the compiler's tree has in the place of a libcst node."""

_DEFINITIONS = (cst.FunctionDef, cst.ClassDef)
_BLOCKS = (cst.BaseSuite, cst.Else, cst.Finally, cst.ExceptHandler, cst.ExceptStarHandler, cst.MatchCase, cst.If)


def module_scope(script: Script) -> Scope:
    """The names of module level; what frozen code defines there stands for itself."""
    scope = Scope()
    for node, twin in _pairs(script.concrete, script.tree.body):
        if isinstance(node, _DEFINITIONS) and script.is_frozen(twin.lineno):
            scope.bind(node.name.value, f"{SCRIPT}{node.name.value}")
        else:
            bind_all([node], scope)
    return scope


def frozen_imports(script: Script) -> Iterator[cst.Import | cst.ImportFrom]:
    """The imports of the read-only code at module level."""
    for node, twin in _pairs(script.concrete, script.tree.body):
        if isinstance(node, cst.Import | cst.ImportFrom) and script.is_frozen(twin.lineno):
            yield node


def agent_code(script: Script, scope: Scope) -> Iterator[Code]:
    """What stands in regions, in the order of the file."""
    yield from _in_block(script, script.concrete, script.tree.body, scope)


def _in_block(script: Script, block: cst.CSTNode, twins: Sequence[ast.AST], scope: Scope) -> Iterator[Code]:
    for node, twin in _pairs(block, twins):
        first, last = _segments(script, twin)
        if first != last:
            yield from _in_mixed(script, node, twin, scope)
        elif first % 2:
            yield node, scope


def _in_mixed(script: Script, node: cst.CSTNode, twin: ast.AST, scope: Scope) -> Iterator[Code]:
    """A statement that holds frozen lines and regions: its head where that is in a region, then its blocks."""
    blocks = list(_blocks(node, twin))
    if not blocks:
        yield node, scope
        return
    if _segments(script, twin)[0] % 2:
        yield from ((part, scope) for part in _head(node))
    if isinstance(node, cst.FunctionDef):
        scope = function_scope(node, scope)
    elif isinstance(node, cst.ClassDef):
        scope = class_scope(node, scope)
    for block, twins in blocks:
        yield from _in_block(script, block, twins, scope)


def _head(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    name = node.name if isinstance(node, _DEFINITIONS) else None
    for part in children(node):
        if part is not name and not isinstance(part, _BLOCKS):
            yield part


def _blocks(node: cst.CSTNode, twin: ast.AST) -> Iterator[tuple[cst.CSTNode, Sequence[ast.AST]]]:
    """The blocks of a compound statement beside their twins. A handler or case is a block of one: itself."""
    for part in children(node):
        if isinstance(part, cst.BaseSuite):
            yield part, twin.body  # type: ignore[attr-defined]
        elif isinstance(part, cst.Else | cst.If):
            yield part, twin.orelse  # type: ignore[attr-defined]
        elif isinstance(part, cst.Finally):
            yield part, twin.finalbody  # type: ignore[attr-defined]
    handlers = [part for part in children(node) if isinstance(part, cst.ExceptHandler | cst.ExceptStarHandler)]
    yield from ((part, [other]) for part, other in zip(handlers, getattr(twin, "handlers", ()), strict=True))
    cases = [part for part in children(node) if isinstance(part, cst.MatchCase)]
    yield from ((part, [other]) for part, other in zip(cases, getattr(twin, "cases", ()), strict=True))


def _pairs(block: cst.CSTNode, twins: Sequence[Twin]) -> Iterator[tuple[cst.CSTNode, Twin]]:
    return zip(_statements(block), twins, strict=True)


def _statements(block: cst.CSTNode) -> Iterator[cst.CSTNode]:
    if isinstance(block, cst.Else | cst.Finally):
        block = block.body
    if not isinstance(block, cst.Module | cst.BaseSuite):
        yield block  # an elif, a handler or a case
        return
    for node in block.body:
        if isinstance(node, cst.SimpleStatementLine):
            yield from node.body
        else:
            yield node


def _segments(script: Script, twin: ast.AST) -> tuple[int, int]:
    """The segments of a statement's first and last lines; of a case, which has none, those of what is in it."""
    inside: list[Any] = [twin] if hasattr(twin, "lineno") else list(ast.iter_child_nodes(twin))
    decorators = getattr(twin, "decorator_list", [])
    first = min(node.lineno for node in (*inside, *decorators))
    last = max(node.end_lineno for node in inside)
    return script.segment(first), script.segment(last)
