"""Whether the code behind a statement surely never runs, told from the statement's shape alone.

"Surely" leaves out what depends on a value, on how often a loop goes round, and on exceptions that somebody may catch.
"""

import ast
from collections.abc import Iterable, Sequence

_JUMPS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def endings(node: ast.stmt) -> Sequence[ast.stmt]:
    """The statements in `node`, or `node` itself, one of which surely ends its block; none where that is unsure."""
    if isinstance(node, _JUMPS):
        return [node]
    if isinstance(node, ast.Assert):
        return [node] if constant(node.test) is False else []
    if isinstance(node, ast.If):
        return _endings_of_if(node)
    if isinstance(node, ast.With | ast.AsyncWith):
        return _endings_of_with(node)
    if isinstance(node, ast.Try | ast.TryStar):
        return _endings_of_try(node)
    if isinstance(node, ast.While):
        return [node] if constant(node.test) and not _breaks(node.body) else []
    if isinstance(node, ast.Match):
        return _endings_of_match(node)
    return []


def constant(test: ast.expr) -> bool | None:
    """Whether a condition always or never holds; None where that depends on a value."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = constant(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        parts = {constant(part) for part in test.values}
        decisive = isinstance(test.op, ast.Or)
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    if isinstance(test, ast.Tuple | ast.List) and not any(isinstance(part, ast.Starred) for part in test.elts):
        return bool(test.elts)
    return None


def endings_of(block: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    """What surely ends a block: the endings of the first of its statements that has any."""
    return next(filter(None, map(endings, block)), [])


def _endings_of_if(node: ast.If) -> Sequence[ast.stmt]:
    holds = constant(node.test)
    if holds is not None:
        return endings_of(node.body if holds else node.orelse)
    return _all_end([endings_of(node.body), endings_of(node.orelse)])


def _endings_of_with(node: ast.With | ast.AsyncWith) -> Sequence[ast.stmt]:
    """A context manager may swallow an exception, which few do; of contextlib.suppress it is known."""
    found = endings_of(node.body)
    raised = any(isinstance(end, ast.Raise | ast.Assert) for end in found)
    swallows = any("suppress" in ast.unparse(item.context_expr) for item in node.items)
    return [] if raised or (swallows and not _comes_first(node.body, found)) else found


def _endings_of_try(node: ast.Try | ast.TryStar) -> Sequence[ast.stmt]:
    """Sure where the finally ends; or where the body does and no handler lets the code go on."""
    last = endings_of(node.finalbody)
    if last:
        return last
    inner = endings_of([*node.body, *node.orelse])
    if _comes_first(node.body, inner):
        return inner
    return _all_end([inner, *(endings_of(handler.body) for handler in node.handlers)])


def _endings_of_match(node: ast.Match) -> Sequence[ast.stmt]:
    last = node.cases[-1]
    takes_all = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
    return _all_end([endings_of(case.body) for case in node.cases]) if takes_all else []


def _all_end(ends: Sequence[Sequence[ast.stmt]]) -> Sequence[ast.stmt]:
    """The endings of all branches, where every branch has one."""
    return [end for branch in ends for end in branch] if all(ends) else []


def _comes_first(block: Sequence[ast.stmt], ends: Sequence[ast.stmt]) -> bool:
    """Whether a block begins with a jump that cannot raise, so that nothing catches anything before it."""
    if list(ends) != block[:1] or isinstance(block[0], ast.Raise | ast.Assert | ast.While):
        return False
    value = block[0].value if isinstance(block[0], ast.Return) else None
    return value is None or isinstance(value, ast.Constant | ast.Name)


def _breaks(block: Iterable[ast.AST]) -> bool:
    """Whether a break in `block` ends the loop around it."""
    waiting = list(block)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Break):
            return True
        if isinstance(node, _LOOPS):
            waiting += node.orelse
        elif not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)
    return False
