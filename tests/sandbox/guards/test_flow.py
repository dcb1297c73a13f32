"""A region cannot switch off the frozen code around it."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.errors import EditRefused
from sandbox.guards import check

Framed = Callable[..., Document]

FUNCTION = "def run(x):\n    y = x\n    #[ a\n    y = 1\n    #]\n    print(y)\n    return y\n"
BEFORE_RETURN = "def run(x):\n    #[ a\n    y = 1\n    #]\n    return y\n"
LOOP = "for y in range(3):\n    #[ a\n    x = 1\n    #]\n    print(y)\n"
ASYNC = "async def run(x):\n    #[ a\n    y = 1\n    #]\n    return y\n"


@pytest.mark.parametrize(
    ("template", "content", "reason"),
    [
        (FUNCTION, "    return 1\n", "return at line 3 would make the read-only line 4 unreachable"),
        (FUNCTION, "    y = 1\n    raise ValueError(y)\n", "raise at line 4 .* line 5 unreachable"),
        (BEFORE_RETURN, "    raise ValueError(x)\n", "unreachable"),
        (LOOP, "    continue\n", "continue at line 2"),
        (LOOP, "    break\n", "break at line 2"),
        (FUNCTION, "    yield x\n", "yield at line 3 would turn the read-only function 'run' .* into a generator"),
        (FUNCTION, "    y = [(yield)]\n", "generator"),
        (FUNCTION, "    yield from x\n", "generator"),
        (ASYNC.replace("    return y", "    print(y)"), "    y = 1\n    yield y\n", "generator"),
        (FUNCTION, "    await x\n", "outside async function"),
    ],
)
def test_switching_frozen_code_off_is_refused(framed: Framed, template: str, content: str, reason: str) -> None:
    """Unconditional jumps over frozen statements, and yields in frozen functions, are refused."""
    with pytest.raises(EditRefused, match=reason):
        check(framed(template).with_content(0, content), {})


@pytest.mark.parametrize(
    ("template", "content"),
    [
        (FUNCTION, "    if x:\n        return 1\n"),
        (FUNCTION, "    for _ in range(3):\n        break\n"),
        (FUNCTION, "    def inner():\n        yield 1\n    y = list(inner())\n"),
        (FUNCTION, "    y = (lambda: (yield))()\n"),
        (BEFORE_RETURN, "    return 3\n"),
        (ASYNC, "    y = await x\n"),
        (LOOP, "    if y:\n        continue\n"),
        (FUNCTION.replace("    y = 1", "    raise NotImplementedError"), "    raise ValueError\n"),
        (FUNCTION.replace("    y = 1", "    yield x"), "    yield 3\n"),
    ],
)
def test_other_control_flow_passes(framed: Framed, template: str, content: str) -> None:
    """Conditional jumps, inner functions, a return before a frozen return, and what the template had itself, pass."""
    check(framed(template).with_content(0, content), {})


def test_a_future_import_is_refused(framed: Framed) -> None:
    """An import from __future__ changes how frozen code compiles; a template without frozen code may have one."""
    content = "from __future__ import annotations\n"
    with pytest.raises(EditRefused, match="__future__"):
        check(framed("#[ a\nx = 1\n#]\nprint(x)\n").with_content(0, content), {})
    check(framed("#[ a\nx = 1\n#]\n").with_content(0, content), {})
