"""Guard: a region inside frozen code may not switch that code off.

Refused are a jump (return, raise, break, continue) that makes frozen statements behind it unreachable, a yield that
turns a frozen function into a generator, and an import from __future__, which changes how frozen code compiles. What
the template's own region had stays allowed, and so does a return before nothing but a frozen return.
"""

import ast
from collections.abc import Iterator, Sequence

from sandbox.errors import EditRefused
from sandbox.guards.frozen import Pair
from sandbox.guards.script import Script

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_JUMPS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_BLOCKS = ("body", "orelse", "finalbody")


def check_flow(old: Script, new: Script, mixed: Sequence[Pair]) -> None:
    """Raise EditRefused where a region cuts off or converts the frozen code around it."""
    _refuse_future(old, new)
    for old_node, new_node in mixed:
        if isinstance(new_node, _FUNCTIONS) and new.is_frozen(new_node.lineno):
            _refuse_generator(old_node, new_node)
        for block in _BLOCKS:
            _refuse_jump(old, new, getattr(old_node, block, None), getattr(new_node, block, None))


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


def _refuse_jump(old: Script, new: Script, old_block: object, new_block: object) -> None:
    if not isinstance(old_block, list) or not isinstance(new_block, list):
        return
    found = _jump(new, new_block)
    if found is None or _jump(old, old_block) is not None:
        return
    jump, cut = found
    raise EditRefused(
        f"The {type(jump).__name__.lower()} at line {jump.lineno} would make the read-only line {cut.lineno} "
        "unreachable. Make it conditional, or let the read-only code run.",
        line=jump.lineno,
        column=jump.col_offset + 1,
    )


def _jump(script: Script, block: list[ast.stmt]) -> tuple[ast.stmt, ast.stmt] | None:
    """An unconditional jump of a region, and the first frozen statement that it cuts off."""
    for index, node in enumerate(block):
        if isinstance(node, _JUMPS) and not script.is_frozen(node.lineno):
            cut = [later for later in block[index + 1 :] if script.is_frozen(later.lineno)]
            only_returns = len(cut) == 1 and isinstance(cut[0], ast.Return) and isinstance(node, ast.Return)
            return (node, cut[0]) if cut and not only_returns else None
    return None
