"""Code and names inside of texts: annotations that somebody may evaluate, and texts that reach attributes."""

from collections.abc import Iterator

import libcst as cst

from sandbox.policy.tree import children, literal
from sandbox.policy.vocabulary import DEFINITIONS, TELLING_TEXT


def annotated_code(node: cst.Annotation) -> Iterator[cst.BaseExpression]:
    """What texts in an annotation would do if they were evaluated, as typing, functools and torch know to do it."""
    waiting: list[cst.CSTNode] = [node]
    while waiting:
        part = waiting.pop()
        waiting += children(part)
        text = literal(part) if isinstance(part, cst.SimpleString | cst.ConcatenatedString) else None
        if text is None or "(" not in text:
            continue
        try:
            yield cst.parse_expression(text.strip())
        except cst.ParserSyntaxError:
            continue  # no code, so nobody evaluates it


def telling(node: cst.SimpleString | cst.ConcatenatedString) -> str | None:
    """The part of a text that names what code must not reach, or must not define; None where there is none."""
    text = literal(node) or ""
    found = TELLING_TEXT.search(text)
    return found[0] if found is not None else text if text in DEFINITIONS else None
