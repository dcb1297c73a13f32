"""Python text as a syntax tree, without the compiler's warnings on stderr."""

import ast
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence what the compiler only warns about, such as an invalid escape sequence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def syntax_tree(text: str) -> ast.Module:
    """The tree of a module's text. Raises SyntaxError, and what deep nesting makes Python's parser raise."""
    with without_warnings():
        return ast.parse(text)
