"""A region takes no name from the frozen code around it."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.errors import EditRefused
from sandbox.guards import check

Framed = Callable[..., Document]

MODULE = """\
import math
import numpy as np
from os import path as F
LIMIT = 3
#[ a
STEP = 1
class Mine: ...
#]
def frozen(x, local):
    unused = local
    return max(math.pi, np.pi, F.sep, LIMIT, STEP, later(x))
def later(x):
    return [i for i in x]
def unread():
    return 1
if __name__ == "__main__":
    frozen(Mine(), 1)
"""

FUNCTION = """\
import math
def run(x):
    y = math.floor(x)
    #[ a
    z = 1
    #]
    def inner():
        return abs(y)
    return len([z, y, x, inner()]), missing
def helper(): ...
"""

CLASS = """\
import math
class Model:
    size = 1
    def first(self):
        return math.pi
    #[ a
    def middle(self): ...
    #]
    @staticmethod
    def last():
        return max(1, 2)
"""


@pytest.mark.parametrize(
    "content",
    [
        "math = 1\n",
        "import numpy as math\n",
        "from math import pi as math\n",
        "from torch.nn import functional as F\n",
        "F = None\n",
        "def F(): ...\n",
        "class LIMIT: ...\n",
        "for LIMIT in range(3): ...\n",
        "with open('x') as LIMIT: ...\n",
        "try: ...\nexcept ValueError as LIMIT: ...\n",
        "print(LIMIT := 4)\n",
        "x = [LIMIT := i for i in range(3)]\n",
        "(a, [*LIMIT]) = 1, [2]\n",
        "match 1:\n    case LIMIT: ...\n",
        "match {}:\n    case {**LIMIT}: ...\n",
        "match []:\n    case [*LIMIT]: ...\n",
        "match 1:\n    case int() as LIMIT: ...\n",
        "LIMIT: int = 4\n",
        "LIMIT += 1\n",
        "del LIMIT\n",
        "def g():\n    global LIMIT\n    LIMIT = 4\n",
        "if True:\n    def later(x): ...\n",
        "def later(x): ...\n",
        "def unread(): ...\n",
        "def max(*a): ...\n",
        "__name__ = 'x'\n",
        "__builtins__ = {}\n",
        "from numpy import *\n",
    ],
)
def test_a_name_of_frozen_code_is_refused(framed: Framed, content: str) -> None:
    """Every way of binding a module name or builtin that frozen code uses is refused."""
    with pytest.raises(EditRefused):
        check(framed(MODULE).with_content(0, "STEP = 1\nclass Mine: ...\n" + content), {})


@pytest.mark.parametrize(
    "content",
    [
        "import math\n",
        "import numpy as np\nimport os, sys, time\n",
        "from os import path as F\n",
        "import os.path as F\n",
        "STEP = 4\nclass Mine(list): ...\n",
        "x = local = unused = i = 1\n",
        "sum = None\n",
        "def g(math, F):\n    LIMIT = 3\n    return [max for max in (math, F, LIMIT)]\n",
        "class G:\n    math = 1\n    def max(self): ...\n",
        "g = lambda math: math\n",
        "def __getattr__(name): ...\n",
        "x = f'{(y := 1)}'\n",
        "def g():\n    def later(): ...\n",
    ],
)
def test_other_names_pass(framed: Framed, content: str) -> None:
    """Identical imports, the region's own names, inner scopes and names that frozen code has as locals pass."""
    check(framed(MODULE).with_content(0, content), {})


@pytest.mark.parametrize(
    "content",
    [
        "    math = 1\n",
        "    import math\n",
        "    len = max\n",
        "    def abs(x): ...\n",
        "    for len in (): ...\n",
        "    global y\n",
        "    global helper\n    helper = 1\n",
        "    print(math := 1)\n",
    ],
)
def test_a_region_in_a_function_leaves_outer_names_alone(framed: Framed, content: str) -> None:
    """In a frozen function, a name that its code reads from outside may not become local, nor a local one global."""
    with pytest.raises(EditRefused):
        check(framed(FUNCTION).with_content(0, content), {})


@pytest.mark.parametrize(
    "content",
    [
        "    z = y = x = 2\n",
        "    import math as m\n    z = m.pi\n",
        "    missing = 1\n    z = missing\n",
        "    z = [len for len in (1, 2)]\n",
        "    sum = 0\n    z = sum\n",
    ],
)
def test_a_region_in_a_function_may_change_its_variables(framed: Framed, content: str) -> None:
    """Local variables of the frozen function, and names that nothing else defines, may be bound."""
    check(framed(FUNCTION).with_content(0, content), {})


def test_an_identical_import_before_every_use_passes(framed: Framed) -> None:
    """A function's region may repeat a module import when the frozen code of the function reads it only later."""
    document = framed("import math\ndef run():\n    #[ a\n    x = 1\n    #]\n    return math.pi\n")
    check(document.with_content(0, "    import math\n"), {})
    with pytest.raises(EditRefused, match="'math'"):
        check(document.with_content(0, "    from os import path as math\n"), {})


@pytest.mark.parametrize(
    "content", ["    def first(self): ...\n", "    last = None\n", "    size = 2\n", "    staticmethod = property\n"]
)
def test_a_region_in_a_class_replaces_no_frozen_member(framed: Framed, content: str) -> None:
    """In a class body, a second definition of what frozen code binds or reads there is refused."""
    with pytest.raises(EditRefused, match="Rename yours"):
        check(framed(CLASS).with_content(0, content), {})


@pytest.mark.parametrize(
    "content", ["    def middle(self): ...\n    other = 1\n", "    math = 1\n    def max(self): ...\n"]
)
def test_a_region_in_a_class_may_add_members(framed: Framed, content: str) -> None:
    """Other members pass: methods do not see the names of their class."""
    check(framed(CLASS).with_content(0, content), {})


def test_the_refusal_names_both_lines(framed: Framed) -> None:
    """The reply names the name, the line that takes it, the read-only line that uses it, and what to do."""
    with pytest.raises(EditRefused, match=r"Line 5 sets 'F', which read-only code uses \(line 9 .*Rename yours"):
        check(framed(MODULE).with_content(0, "F = 1\nSTEP = 1\nclass Mine: ...\n"), {})
