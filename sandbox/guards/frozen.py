"""Guard: every frozen statement is still the same node, in the same place of the tree.

Frozen bytes cannot change, yet a string, bracket, decorator or block left open in a region could swallow or capture the
frozen code behind it. So the trees of the template and of the edited file are walked side by side: what touches frozen
text must pair up one to one, with the same kind, beginning, end, and parent. What lies inside regions is free.
A statement that begins and ends at the same places of one frozen segment consists of the same tokens, so that the walk
enters only the nodes that hold both frozen text and regions ("mixed").
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.errors import EditRefused
from sandbox.guards.script import Script
from sandbox.syntax import syntax_tree

Pair = tuple[ast.AST, ast.AST]
"""A node of the template and the same node of the edited file."""

_DECORATED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_WITH_DOCSTRING = (ast.Module, *_DECORATED)


def check_frozen(old: Script, new: Script) -> list[Pair]:
    """Raise EditRefused unless all frozen code is as it was; return the mixed nodes, outermost first."""
    _refuse_continuations(old, new)
    walk = _Walk(old, new, [])
    walk.compare(old.tree, new.tree)
    return walk.mixed


@dataclass(frozen=True)
class _Span:
    first: int
    first_column: int
    last: int
    last_column: int


@dataclass(frozen=True)
class _Walk:
    old: Script
    new: Script
    mixed: list[Pair]

    def compare(self, old: ast.AST, new: ast.AST) -> None:
        """Compare two nodes that touch frozen text."""
        old_span, new_span = _span_of(old), _span_of(new)
        if old_span is None or new_span is None:
            self._enter(old, new)
            return
        old_start = self.old.place(old_span.first, old_span.first_column)
        new_start = self.new.place(new_span.first, new_span.first_column)
        if type(old) is not type(new) or old_start != new_start:
            raise self._changed(old, new)
        if not self._ends_alike(old, old_span, new_span):
            raise self._ends_elsewhere(new, new_span)
        self._compare_decorators(old, new)
        if self._is_mixed(self.old, old_span) or self._is_mixed(self.new, new_span):
            self._enter(old, new)

    def _enter(self, old: ast.AST, new: ast.AST) -> None:
        self.mixed.append((old, new))
        self.compare_children(old, new)

    def compare_children(self, old: ast.AST, new: ast.AST) -> None:
        """Compare what two mixed nodes hold."""
        if isinstance(old, ast.JoinedStr):  # before Python 3.12, what is inside has no exact position
            return
        for field in old._fields:
            if field != "decorator_list":
                self._compare_lists(_children(old, field), _children(new, field), new)
        if isinstance(old, _WITH_DOCSTRING) and isinstance(new, _WITH_DOCSTRING):
            self._compare_docstring(old, new)

    def _compare_lists(self, old: Sequence[ast.AST], new: Sequence[ast.AST], parent: ast.AST) -> None:
        old_touching = [node for node in old if self._touches_frozen(self.old, node)]
        new_touching = [node for node in new if self._touches_frozen(self.new, node)]
        for old_node, new_node in zip(old_touching, new_touching, strict=False):
            self.compare(old_node, new_node)
        if len(old_touching) > len(new_touching):
            raise self._lost(old_touching[len(new_touching)])
        if len(new_touching) > len(old_touching):
            raise self._captured(new_touching[len(old_touching)])

    def _compare_decorators(self, old: ast.AST, new: ast.AST) -> None:
        if not isinstance(old, _DECORATED) or not isinstance(new, _DECORATED):
            return
        self._compare_lists(old.decorator_list, new.decorator_list, new)
        added = [node for node in new.decorator_list if not self._touches_frozen(self.new, node)]
        had = any(not self._touches_frozen(self.old, node) for node in old.decorator_list)
        if added and not had and self.new.is_frozen(new.lineno):
            raise EditRefused(
                f"The decorator at line {added[0].lineno} would decorate the read-only {new.name!r} at line "
                f"{new.lineno}. End the region with a whole definition.",
                line=added[0].lineno,
                column=added[0].col_offset + 1,
            )

    def _compare_docstring(self, old: ast.AST, new: ast.AST) -> None:
        docstring, first = _docstring(old), _docstring(new)
        if docstring and self.old.is_frozen(docstring.lineno) and not (first and self.new.is_frozen(first.lineno)):
            line = _first_line(new)
            raise EditRefused(
                f"The statement at line {line} would come before the read-only docstring. Keep the docstring first.",
                line=line,
            )

    def _touches_frozen(self, script: Script, node: ast.AST) -> bool:
        span = _span_of(node)
        if span is None:
            return any(self._touches_frozen(script, child) for child in ast.iter_child_nodes(node))
        first, last = script.segment(_outer_first(node, span)), script.segment(span.last)
        return first % 2 == 0 or first != last

    def _is_mixed(self, script: Script, span: _Span) -> bool:
        first, last = script.segment(span.first), script.segment(span.last)
        return first != last or first % 2 == 1

    def _ends_alike(self, old: ast.AST, old_span: _Span, new_span: _Span) -> bool:
        old_end = self.old.place(old_span.last, old_span.last_column)
        new_end = self.new.place(new_span.last, new_span.last_column)
        if old_end == new_end:
            return True
        if len(old_end) == 1:  # it ended in a region, which may end it earlier
            return new_end[0] < old_end[0]
        return len(new_end) == 1 and new_end[0] == old_end[0] + 1 and self._may_go_on(old, old_span, new_end[0])

    def _may_go_on(self, old: ast.AST, span: _Span, region: int) -> bool:
        """Whether a frozen block may go on in the region behind it: one that held only blank lines and comments, all
        indented as the block is."""
        body = getattr(old, "body", None)
        if not isinstance(body, list):
            return False
        lines = self.old.document.segment_ranges[region]
        between = self.old.document.lines[span.last : lines.last]
        texts = [line for line in between if line.strip()]
        indent = body[-1].col_offset
        return all(line.lstrip().startswith("#") and len(line) - len(line.lstrip()) >= indent for line in texts)

    def _changed(self, old: ast.AST, new: ast.AST) -> EditRefused:
        new_span = _span_of(new)
        if new_span is not None and not self.new.is_frozen(new_span.first):
            return self._captured(new)
        return self._lost(old)

    def _ends_elsewhere(self, new: ast.AST, span: _Span) -> EditRefused:
        if not self.new.is_frozen(span.first):
            return self._captured(new)
        return EditRefused(
            f"The read-only {_called(new)} that begins at line {span.first} would end at line {span.last}, not "
            "where the template ends it. Keep the region's indentation, and close what it opens.",
            line=span.last,
            column=1,
        )

    def _captured(self, new: ast.AST) -> EditRefused:
        span = _span_of(new)
        line, column = (span.first, span.first_column + 1) if span else (1, 1)
        if self.new.is_frozen(line):
            what = f"Read-only line {line} would become part of another statement or block"
        else:
            frozen = next(n for n in range(line, self.new.document.total + 1) if self.new.is_frozen(n))
            what = f"The {_called(new)} that begins at line {line} would take in the read-only line {frozen}"
        return EditRefused(f"{what}. Close what the region opens, and keep its indentation.", line=line, column=column)

    def _lost(self, old: ast.AST) -> EditRefused:
        span = _span_of(old)
        assert span is not None
        segment = self.old.segment(span.first)
        before, after = self.old.document.segment_ranges[segment], self.new.document.segment_ranges[segment]
        line = min(after.first + span.first - before.first, max(after.last, 1))
        where = "Read-only line" if segment % 2 == 0 else "What the template has at line"
        return EditRefused(
            f"{where} {line} would no longer be the same {_called(old)} in the same block: a string, bracket or "
            "block that the region opens or ends changes how it is read. Close what the region opens, and keep its "
            "indentation.",
            line=line,
            column=span.first_column + 1,
        )


def _span_of(node: ast.AST) -> _Span | None:
    """From a node's first to its last position; decorators are compared on their own."""
    if not hasattr(node, "lineno"):
        return None
    assert isinstance(node, ast.expr | ast.stmt | ast.excepthandler | ast.arg | ast.keyword | ast.alias | ast.pattern)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return _Span(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)


def _outer_first(node: ast.AST, span: _Span) -> int:
    decorators = node.decorator_list if isinstance(node, _DECORATED) else []
    return min([span.first, *(decorator.lineno for decorator in decorators)])


def _children(node: ast.AST, field: str) -> list[ast.AST]:
    value = getattr(node, field, None)
    values = value if isinstance(value, list) else [value]
    return [child for child in values if isinstance(child, ast.AST)]


def _called(node: ast.AST) -> str:
    words = {ast.FunctionDef: "def", ast.AsyncFunctionDef: "async def", ast.ClassDef: "class", ast.Constant: "literal"}
    return words.get(type(node), "statement" if isinstance(node, ast.stmt) else "expression")


def _docstring(node: ast.AST) -> ast.Expr | None:
    body = getattr(node, "body", None)
    first = body[0] if body else None
    is_string = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return first if is_string else None


def _first_line(node: ast.AST) -> int:
    body: list[ast.stmt] = getattr(node, "body", [])
    return body[0].lineno if body else 1


def _refuse_continuations(old: Script, new: Script) -> None:
    """Refuse a region that ends in a backslash, which would join its last line to a frozen one, if not in a comment."""
    document = new.document
    for region, (lines, content) in enumerate(zip(document.ranges, document.contents, strict=True)):
        joined = content.endswith("\\\n") and not old.document.contents[region].endswith("\\\n")
        if joined and not _parses(document.with_content(region, f"{content[:-2]}$\n").text):
            raise EditRefused(
                f"Line {lines.last} ends in a backslash, which would join it to read-only line {lines.last + 1}. "
                "Take it out.",
                line=lines.last,
                column=len(document.lines[lines.last - 1]) - 1,
            )


def _parses(text: str) -> bool:
    """Whether a text parses; a `$` is an error everywhere but in comments and strings."""
    try:
        syntax_tree(text)
    except SyntaxError:
        return False
    return True
