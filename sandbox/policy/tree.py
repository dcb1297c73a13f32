"""Reading a libcst tree: the parts of a node that mean something, and literal text."""

import ast
from collections.abc import Iterator
from dataclasses import fields

import libcst as cst

_FORMATTING = (
    *("whitespace", "lpar", "rpar", "lbracket", "rbracket", "lbrace", "rbrace", "comma", "semicolon", "colon", "dot"),
    *("leading_lines", "lines_after", "header", "footer", "trailing_whitespace", "indent", "newline"),
    *("equal", "operator"),
)
"""How the fields begin that only say how the code is written."""
_NO_F = str.maketrans("", "", "fF")
_PARTS: dict[type[cst.CSTNode], tuple[str, ...]] = {}
_MAX_TERMS = 100
"""A text put together from more literals than this is not read."""


def children(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The nodes right below one, white space and punctuation left out."""
    kind = type(node)
    parts = _PARTS.get(kind)
    if parts is None:
        parts = _PARTS[kind] = tuple(f.name for f in fields(kind) if not f.name.startswith(_FORMATTING))
    for part in parts:
        value = getattr(node, part)
        if isinstance(value, cst.CSTNode):
            yield value
        elif isinstance(value, list | tuple):
            for item in value:
                if isinstance(item, cst.CSTNode):
                    yield item


def literal(node: cst.BaseExpression) -> str | None:
    """The text of a string literal, or of literals joined by `+`; None for anything else."""
    texts: list[str] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, cst.BinaryOperation) and isinstance(part.operator, cst.Add):
            waiting += [part.right, part.left]
            continue
        value = (
            part.evaluated_value if isinstance(part, cst.SimpleString | cst.ConcatenatedString) else _formatted(part)
        )
        if not isinstance(value, str) or len(texts) == _MAX_TERMS:
            return None
        texts.append(value)
    return "".join(texts)


def _formatted(node: cst.BaseExpression) -> str | None:
    """The text of an f-string in which nothing is put in."""
    if not isinstance(node, cst.FormattedString):
        return None
    raw = "".join(piece.value for piece in node.parts if isinstance(piece, cst.FormattedStringText))
    if not all(isinstance(piece, cst.FormattedStringText) for piece in node.parts):
        return None
    text = ast.literal_eval(f"{node.start.translate(_NO_F)}{raw}{node.end}")
    return str(text).replace("{{", "{").replace("}}", "}")
