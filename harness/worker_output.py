"""Whose word to take when several workers of a run fail: torch marks the lines of their tracebacks, `[rank1]: text`.

When one worker fails, the others lose the connection to it and fail too; what they say about that helps nobody.
"""

import re

from harness.faults import last_error

_MARKED = re.compile(r"\[rank(?P<rank>\d+)\]: ?(?P<text>.*)")
_LOST_CONNECTION = re.compile(r"gloo|nccl|DistBackendError|Connection (?:closed|reset|refused)", re.IGNORECASE)


def failed_worker(tail: str) -> str:
    """The marked lines of the first worker that failed by itself, marks taken off; all lines where none is marked."""
    workers: dict[str, list[str]] = {}
    for line in tail.splitlines():
        if marked := _MARKED.fullmatch(line):
            workers.setdefault(marked["rank"], []).append(marked["text"])
    if not workers:
        return tail
    texts = ["\n".join(lines) for lines in workers.values()]
    return next((text for text in texts if not _LOST_CONNECTION.search(last_error(text))), texts[0])
