"""Guard: a region inside frozen code may not switch that code off.

Refused are a region's code that surely never lets the frozen statements behind it run (sandbox/guards/ending.py), a
yield that turns a frozen function into a generator, and an import from __future__, which changes how frozen code
compiles. What the template's own region had stays allowed, and so does a return before nothing but a frozen return.
"""

import ast
from collections.abc import Iterator, Sequence

from sandbox.errors import EditRefused
from sandbox.guards.ending import endings, endings_of
from sandbox.guards.frozen import Pair
from sandbox.guards.script import Script

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_BLOCKS = ("body", "orelse", "finalbody")


def check_flow(old: Script, new: Script, mixed: Sequence[Pair]) -> None:
    """Raise EditRefused where a region cuts off or converts the frozen code around it."""
    _refuse_future(old, new)
    for old_node, new_node in mixed:
        if isinstance(new_node, _FUNCTIONS) and new.is_frozen(new_node.lineno):
            _refuse_generator(old_node, new_node)
        for block in _BLOCKS:
            _refuse_cut(_cut(old, getattr(old_node, block, None)), _cut(new, getattr(new_node, block, None)))
        if isinstance(old_node, _LOOPS) and isinstance(new_node, _LOOPS):
            _refuse_cut(_cut_else(old, old_node), _cut_else(new, new_node))


def _refuse_future(old: Script, new: Script) -> None:
    if any(_futures(old)) or all(not new.is_frozen(node.lineno) for node in new.tree.body):
        return
    for node in _futures(new):
        raise EditRefused(
            f"Line {node.lineno} imports from __future__, which would change how the read-only code compiles. "
            "Take it out.",
            line=node.lineno,
            column=node.col_offset + 1,
        )


def _futures(script: Script) -> Iterator[ast.ImportFrom]:
    for node in script.tree.body:
        in_region = not script.is_frozen(node.lineno)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__" and in_region:
            yield node


def _refuse_generator(old: ast.AST, new: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    for found in _yields(new):
        if not any(_yields(old)):
            raise EditRefused(
                f"The yield at line {found.lineno} would turn the read-only function {new.name!r} (line {new.lineno}) "
                "into a generator. Put it into a function of its own.",
                line=found.lineno,
                column=found.col_offset + 1,
            )


def _yields(function: ast.AST) -> Iterator[ast.Yield | ast.YieldFrom]:
    """The yields of a function itself, not those of functions inside it."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            yield node
        if not isinstance(node, (*_FUNCTIONS, ast.Lambda, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


Cut = tuple[ast.stmt, ast.stmt]
"""The statement of a region that ends a block, and the first frozen statement that it cuts off."""


def _refuse_cut(old: Cut | None, new: Cut | None) -> None:
    if new is None or old is not None:
        return
    by, cut = new
    raise EditRefused(
        f"The {_called(by)} at line {by.lineno} would make the read-only line {cut.lineno} unreachable. "
        "Make it conditional, or let the read-only code run.",
        line=by.lineno,
        column=by.col_offset + 1,
    )


def _called(node: ast.stmt) -> str:
    return type(node).__name__.lower()


def _cut(script: Script, block: object) -> Cut | None:
    """What code that is not all frozen cuts off of the block that it stands in."""
    if not isinstance(block, list) or not all(isinstance(node, ast.stmt) for node in block):
        return None
    for index, node in enumerate(block):
        ends = [] if _is_frozen(script, node) else endings(node)
        frozen = [later for later in block[index + 1 :] if script.is_frozen(later.lineno)]
        returns = all(isinstance(end, ast.Return) for end in ends)
        if ends and frozen and not (returns and len(frozen) == 1 and isinstance(frozen[0], ast.Return)):
            return _blamed(script, ends), frozen[0]
    return None


def _cut_else(script: Script, loop: ast.For | ast.AsyncFor | ast.While) -> Cut | None:
    """A loop whose every round ends in a break of a region never comes to its frozen else."""
    frozen = [node for node in loop.orelse if script.is_frozen(node.lineno)]
    ends = endings_of([node for node in loop.body if not _is_frozen(script, node)])
    if not frozen or not any(isinstance(end, ast.Break) for end in ends):
        return None
    return _blamed(script, ends), frozen[0]


def _is_frozen(script: Script, node: ast.stmt) -> bool:
    first, last = script.segment(node.lineno), script.segment(node.end_lineno or node.lineno)
    return first == last and first % 2 == 0


def _blamed(script: Script, ends: Sequence[ast.stmt]) -> ast.stmt:
    """The first of these statements that a region holds; where none does, it took away what led past them."""
    return next((end for end in ends if not script.is_frozen(end.lineno)), ends[0])
