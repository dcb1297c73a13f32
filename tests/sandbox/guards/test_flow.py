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
ELSE = "for y in range(3):\n    #[ a\n    x = 1\n    #]\nelse:\n    print('whole')\n"
WITHIN = "def run(x):\n    with open(x) as y:\n        #[ a\n        x = 1\n        #]\n    print(y)\n    return x\n"
BRANCHES = """\
def run(x):
    if x:
        return 1
    else:
        #[ a
        x = 2
        #]
    print(x)
"""
FOREVER = "def run(x):\n    while True:\n        #[ a\n        if x: break\n        #]\n        x = 1\n    print(x)\n"
ASYNC = "async def run(x):\n    #[ a\n    y = 1\n    #]\n    return y\n"


@pytest.mark.parametrize(
    ("template", "content", "reason"),
    [
        (FUNCTION, "    return 1\n", "return at line 3 would make the read-only line 4 unreachable"),
        (FUNCTION, "    y = 1\n    raise ValueError(y)\n", "raise at line 4 .* line 5 unreachable"),
        (BEFORE_RETURN, "    raise ValueError(x)\n", "unreachable"),
        (LOOP, "    continue\n", "continue at line 2"),
        (LOOP, "    break\n", "break at line 2"),
        (FUNCTION, "    with open(x):\n        return 0\n", "return at line 4 .* line 5 unreachable"),
        (FUNCTION, "    with open(x), open(y):\n        y = 1\n        return y\n", "return at line 5"),
        (FUNCTION, "    try:\n        return 0\n    except OSError:\n        y = 1\n", "return at line 4"),
        (FUNCTION, "    try:\n        return x()\n    finally:\n        y = 1\n", "return at line 4"),
        (
            FUNCTION,
            "    try:\n        y = x()\n    except OSError:\n        pass\n    finally:\n        return 1\n",
            "line 8",
        ),
        (FUNCTION, "    try:\n        return x()\n    except OSError:\n        raise\n", "unreachable"),
        (
            FUNCTION,
            "    try:\n        y = 1\n    except OSError:\n        raise\n    else:\n        return 1\n",
            "line 8",
        ),
        (FUNCTION, "    if True:\n        return 1\n", "return at line 4"),
        (FUNCTION, "    if not 0 and (1, 2):\n        return 1\n", "return at line 4"),
        (FUNCTION, "    if False:\n        y = 1\n    else:\n        raise KeyError\n", "raise at line 6"),
        (
            FUNCTION,
            "    if x:\n        return 1\n    elif y:\n        return 2\n    else:\n        return 3\n",
            "return",
        ),
        (FUNCTION, "    while True:\n        pass\n", "while at line 3 would make the read-only line 5 unreachable"),
        (FUNCTION, "    while 1:\n        for y in x:\n            break\n", "while at line 3"),
        (FUNCTION, "    assert False, 'never'\n", "assert at line 3"),
        (
            FUNCTION,
            "    match x:\n        case 1:\n            return 1\n        case _:\n            raise KeyError\n",
            "line 5",
        ),
        (WITHIN, "        return 1\n", "return at line 3 .* line 4 unreachable"),
        (BRANCHES, "        return 2\n", "return at line 5 .* line 6 unreachable"),
        (FOREVER, "        x = 2\n", "while at line 2 .* line 5 unreachable"),
        (LOOP, "    with open('a'):\n        continue\n", "continue at line 3"),
        (ELSE, "    break\n", "break at line 2 would make the read-only line 4 unreachable"),
        (ELSE, "    with open('a'):\n        if True:\n            break\n", "break at line 4"),
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
        (ELSE, "    if y:\n        break\n"),
        (ELSE, "    continue\n"),
        (ELSE, "    for x in y:\n        break\n"),
        (FOREVER, "        if x > 3:\n            break\n"),
        (BRANCHES, "        if x:\n            return 2\n"),
        (WITHIN, "        if x:\n            return 1\n"),
        (FUNCTION, "    with contextlib.suppress(ImportError):\n        return x()\n"),
        (FUNCTION, "    with open(x):\n        raise ValueError\n"),
        (FUNCTION, "    try:\n        return x()\n    except ImportError:\n        y = 1\n"),
        (FUNCTION, "    try:\n        y = x()\n    except ImportError:\n        return 1\n"),
        (FUNCTION, "    if x:\n        return 1\n    elif y:\n        return 2\n"),
        (FUNCTION, "    if 0:\n        return 1\n"),
        (FUNCTION, "    while True:\n        if x:\n            break\n        x += 1\n"),
        (FUNCTION, "    while True:\n        for y in x:\n            pass\n        else:\n            break\n"),
        (FUNCTION, "    while x:\n        return 1\n"),
        (FUNCTION, "    match x:\n        case 1:\n            return 1\n        case y if y:\n            return 2\n"),
        (BEFORE_RETURN, "    with open(x):\n        return 3\n"),
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
