"""Guard: the whole file parses, for libcst as for the Python that will run it."""

import ast

import libcst

from sandbox.document import Document, Frame
from sandbox.errors import EditRefused
from sandbox.guards.script import Script
from sandbox.syntax import syntax_tree, without_warnings
from sandbox.view import pointed

_MAX_DEPTH = 900
"""Deepest nesting of a syntax tree; deeper ones would overrun the C stack of a parser on some Python versions."""


def parse_template(frame: Frame) -> Script:
    """The untouched script, which is known to parse."""
    return Script(Document.original(frame), syntax_tree(frame.template))


def parse(document: Document) -> Script:
    """The document as a syntax tree. Raises EditRefused with the line, the column, the line itself and a caret."""
    try:
        tree = _compiled(document.text)
    except SyntaxError as error:
        raise _refused(document, error.msg, error.lineno or 1, error.offset or 1) from None
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise EditRefused(
            f"The file would not parse: {error or 'it nests too deeply'} ({type(error).__name__})."
        ) from None
    _refuse_depth(tree)
    script = Script(document, tree)
    try:
        script.concrete  # noqa: B018
    except libcst.ParserSyntaxError as error:
        raise _refused(document, error.message, error.raw_line, error.raw_column + 1) from None
    return script


def _compiled(text: str) -> ast.Module:
    """The tree of a text that the compiler accepts too (a return outside a function parses, yet does not compile)."""
    tree = syntax_tree(text)
    with without_warnings():
        compile(text, "<script>", "exec", dont_inherit=True)
    return tree


def _refuse_depth(tree: ast.Module) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise EditRefused(f"The file would nest more than {_MAX_DEPTH} levels deep. Write it flatter.")


def _refused(document: Document, reason: str, line: int, column: int) -> EditRefused:
    line = min(max(line, 1), max(document.total, 1))
    message = (
        f"The edited file would not parse: line {line}, column {column}: {reason}\n{pointed(document, line, column)}"
    )
    if all(line not in lines for lines in document.ranges):
        message += "\nThat line is read-only: look at how the region before it ends."
    return EditRefused(message, line=line, column=column)
