"""The overrides region: one literal dictionary, CONFIG_OVERRIDES, whose keys and values the task allows."""

import ast
import sys
from collections.abc import Mapping
from typing import NoReturn

from sandbox.document import Document
from sandbox.errors import EditRefused, nearest
from sandbox.schema import OverrideKey
from sandbox.syntax import syntax_tree
from sandbox.view import pointed

NAME = "CONFIG_OVERRIDES"
Value = float | int | bool | str

_TYPES: dict[str, tuple[type, ...]] = {"float": (float, int), "int": (int,), "bool": (bool,), "str": (str,)}


def read_overrides(document: Document, allowed: Mapping[str, OverrideKey]) -> dict[str, Value]:
    """What the overrides regions of a document set; empty where it has none.

    Raises EditRefused, with line and column, for anything but one dictionary of allowed keys and values in range.
    """
    values: dict[str, Value] = {}
    originals = document.frame.segments[1::2]
    for number, region in enumerate(document.frame.regions):
        if region.kind == "overrides":
            values.update(_Reader(document, number, allowed, _indent(originals[number])).read())
    return values


class _Reader:
    def __init__(self, document: Document, region: int, allowed: Mapping[str, OverrideKey], indent: str) -> None:
        self.document = document
        self.lines = document.ranges[region]
        self.content = document.contents[region]
        self.allowed = allowed
        self.indent = indent

    def read(self) -> dict[str, Value]:
        dictionary = self._dictionary()
        values: dict[str, Value] = {}
        for key, value in zip(dictionary.keys, dictionary.values, strict=True):
            name = self._key(key, value)
            if name in values:
                self._refuse(key or value, f"The key {name!r} is set twice. Set it once")
            values[name] = self._value(name, value)
        return values

    def _dictionary(self) -> ast.Dict:
        statements = self._statements()
        if not statements:
            raise EditRefused(
                f"The region must hold one statement, `{NAME} = {{...}}`; an empty dictionary changes nothing.",
                line=self.lines.first,
            )
        first = statements[0]
        if not isinstance(first, ast.Assign) or not _sets_name(first):
            self._refuse(first, f"The region must hold one statement, `{NAME} = {{...}}`, and nothing else")
        if _indent(self.content) != self.indent:
            self._refuse(first, f"Indent this line by {len(self.indent)} space(s), as the template does")
        if len(statements) > 1:
            self._refuse(statements[1], f"Only one statement may stand here, `{NAME} = {{...}}`")
        if not isinstance(first.value, ast.Dict):
            self._refuse(first.value, f"{NAME} must be a literal dictionary, `{{...}}`")
        return first.value

    def _statements(self) -> list[ast.stmt]:
        """The region's statements, with the line numbers of the whole script."""
        indented = bool(_indent(self.content))
        above = self.lines.first - 1 - indented
        try:
            tree = syntax_tree("if 1:\n" * indented + self.content)
        except SyntaxError as error:
            line, column = above + (error.lineno or 1), error.offset or 1
            raise EditRefused(
                f"{NAME} would not parse: line {line}, column {column}: {error.msg}\n"
                f"{pointed(self.document, line, column)}",
                line=line,
                column=column,
            ) from None
        except (RecursionError, MemoryError):
            raise EditRefused(f"{NAME} nests too deeply. Write plain values.", line=self.lines.first) from None
        ast.increment_lineno(tree, above)
        if not indented:
            return tree.body
        assert isinstance(tree.body[0], ast.If)
        return [*tree.body[0].body, *tree.body[0].orelse, *tree.body[1:]]

    def _key(self, key: ast.expr | None, value: ast.expr) -> str:
        if key is None:
            self._refuse(value, "`**` may not be used here. Write each key and value out")
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            self._refuse(key, "A key must be a plain string")
        if key.value not in self.allowed:
            self._refuse(key, f"The key {key.value!r} may not be set. {nearest(key.value, self.allowed).rstrip('.')}")
        return key.value

    def _value(self, name: str, node: ast.expr) -> Value:
        rule = self.allowed[name]
        value = _literal(node)
        if value is None:
            self._refuse(node, f"The value of {name!r} must be a plain {rule.type}, not an expression")
        wanted, is_bool = _TYPES[rule.type], isinstance(value, bool)
        if not isinstance(value, wanted) or (is_bool and rule.type != "bool"):
            article = "an" if rule.type == "int" else "a"
            got = f"{value!r} ({type(value).__name__})"
            self._refuse(node, f"The value of {name!r} must be {article} {rule.type}, not {got}")
        if not isinstance(value, str) and not -sys.float_info.max <= value <= sys.float_info.max:
            self._refuse(node, f"The value of {name!r} must be finite")
        if rule.choices is not None and value not in rule.choices:
            self._refuse(node, f"The value of {name!r} must be one of {list(rule.choices)}, not {value!r}")
        if not isinstance(value, str):
            self._check_bounds(name, node, value, rule)
        return float(value) if rule.type == "float" else value

    def _check_bounds(self, name: str, node: ast.expr, value: float, rule: OverrideKey) -> None:
        low, high = rule.minimum, rule.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = [f"at least {low:g}"] if low is not None else []
            bounds += [f"at most {high:g}"] if high is not None else []
            self._refuse(node, f"The value of {name!r} must be {' and '.join(bounds)}, not {value!r}")

    def _refuse(self, node: ast.AST, reason: str) -> NoReturn:
        line, column = int(getattr(node, "lineno", self.lines.first)), int(getattr(node, "col_offset", 0)) + 1
        shown = pointed(self.document, line, column)
        raise EditRefused(f"{NAME}: line {line}, column {column}: {reason}.\n{shown}", line=line, column=column)


def _indent(content: str) -> str:
    """The white space before the first line of code."""
    code = (line for line in content.split("\n") if line.strip() and not line.lstrip().startswith("#"))
    first = next(code, "")
    return first[: len(first) - len(first.lstrip())]


def _sets_name(node: ast.Assign) -> bool:
    return len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) and node.targets[0].id == NAME


def _literal(node: ast.expr) -> Value | None:
    """The value of a plain constant or a signed number; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        return node.value
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub | ast.UAdd)
        and isinstance(node.operand, ast.Constant)
    ):
        number = node.operand.value
        if isinstance(number, int | float) and not isinstance(number, bool):
            return -number if isinstance(node.op, ast.USub) else number
    return None
