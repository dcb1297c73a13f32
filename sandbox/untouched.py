"""Whether a test ran the template as it is: such a run is a reference to measure against, and earns no row."""

import io
import tokenize
from functools import lru_cache

from sandbox.state import SessionState, TestState

_LAYOUT = {tokenize.COMMENT, tokenize.NL}


def is_untouched(state: SessionState, test: TestState) -> bool:
    """Whether the tested script differs from the template in comments and layout at most."""
    return same_program(test.source, state.task.template)


def same_program(script: str, other: str) -> bool:
    """Whether two scripts say the same to Python; one that is not whole yet says so only word for word."""
    try:
        return _words(script) == _words(other)
    except (tokenize.TokenError, SyntaxError):
        return script == other


def may_be_submitted(state: SessionState, test: TestState) -> bool:
    """Whether a test is done and of a script that is no reference; a baseline may be the template itself."""
    return test.status == "done" and (
        state.start.kind == "baseline" or not (test.reference or is_untouched(state, test))
    )


@lru_cache(maxsize=32)
def _words(script: str) -> tuple[tuple[int, str], ...]:
    """What a script says to Python, token by token. (Its syntax tree may be too deep to be compared.)"""
    tokens = tokenize.generate_tokens(io.StringIO(script).readline)
    blank = {tokenize.INDENT, tokenize.NEWLINE}  # how deep, or by which characters, does not matter
    return tuple((t.type, "" if t.type in blank else t.string) for t in tokens if t.type not in _LAYOUT)
