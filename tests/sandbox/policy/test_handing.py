"""A module is known again wherever it is handed to, and refused where it is handed out of sight."""

from collections.abc import Callable

import pytest

AssertRefused = Callable[[str, str, str], None]

CLASS = "class CausalSelfAttention(nn.Module):\n    def forward(self, x):\n        return self.t.load(x)\n"

HOSTILE = [
    ("handed on", "forward", "getattr.__call__(torch, 'load')"),
    ("handed on", "head", "import string\nstring.Formatter().get_field('0.load', (torch,), {})"),
    ("handed on", "head", "import types\ntypes.SimpleNamespace(t=torch).t.load('x')"),
    ("serialisation", "head", "class A:\n    t = torch\nA().t.load('x')"),
    ("serialisation", "head", "class A:\n    t = torch\na = A()\na.t.load('x')"),
    ("serialisation", "head", "class A:\n    t = torch\nclass B(A):\n    def f(self):\n        self.t.load('x')"),
    ("serialisation", "head", "class A:\n    import torch as t\nA.t.load('x')"),
    ("serialisation", "head", "class A:\n    class B:\n        t = torch\nA.B.t.load('x')"),
    ("serialisation", "head", "class A:\n    for t in (1, torch):\n        pass\nA.t.load('x')"),
    (
        "serialisation",
        "head",
        "class A:\n    def __init__(self):\n        self.a, self.t = 1, torch\n        self.t.load('x')",
    ),
    ("handed on", "forward", "setattr(self, 't', torch)\nself.t.load('x')"),
    ("handed on", "forward", "object.__setattr__(self, 't', torch)"),
    ("handed on", "forward", "self.__dict__['t'] = torch"),
    ("serialisation", "head", "def f():\n    global T\n    T = torch\nf()\nT.load('x')"),
    ("serialisation", "forward", "t = None\ndef f():\n    nonlocal t\n    t = torch\nt.load('x')"),
    ("serialisation", "forward", "[(t := torch) for _ in (1,)]\nt.load('x')"),
    ("serialisation", "forward", "[torch][:][0].load('x')"),
    ("serialisation", "forward", "a, *b = torch, 1, 2\na.load('x')"),
    ("serialisation", "forward", "[[torch]][0][0].load('x')"),
    ("serialisation", "forward", "{**{'t': torch}}['t'].load('x')"),
    ("serialisation", "forward", "[*[torch]][0].load('x')"),
    ("handed on", "forward", "{k: torch for k in 'a'}['a'].load('x')"),
    ("handed on", "head", "import functools\ndef reduce(x): ...\nfunctools.reduce(print, [], torch)"),
    ("serialisation", "head", "def f(*a):\n    a[0].load('x')\nf(torch)"),
    ("serialisation", "head", "def f(**k):\n    k['t'].load('x')\nf(t=torch)"),
    ("handed on", "head", "class W(Exception): ...\nraise W(torch)"),
    (
        "handed on",
        "head",
        "class A:\n    def __init_subclass__(cls, t):\n        t.load('x')\nclass B(A, t=torch): ...",
    ),
    ("handed on", "head", "class D:\n    def __get__(self, o, t):\n        return torch"),
    ("handed on", "head", "def g():\n    yield from [torch]"),
    ("handed on", "head", "class E:\n    def __matmul__(self, o): ...\nE() @ torch"),
    ("handed on", "head", "class E:\n    def __eq__(self, o): ...\nE() == torch"),
    ("handed on", "head", "class E:\n    def __getitem__(self, o): ...\nE()[torch]"),
    ("handed on", "forward", "x |= torch"),
    ("serialisation", "forward", "getattr(torch, 'load' if x else 'save')('x')"),
    ("serialisation", "forward", "getattr(torch, ['load'][0])('x')"),
    ("serialisation", "head", "def f():\n    return [torch]\nf()[0].load('x')"),
    # handed on
    ("handed on", "forward", "from functools import reduce\nreduce(getattr, ['os', 'system'], torch)"),
    ("handed on", "forward", "list(map(getattr, [x], ['load']))"),
    ("handed on", "forward", "functools.partial(setattr, x)"),
    ("handed on", "forward", "object.__getattribute__(torch, 'load')"),
    ("handed on", "forward", "[*map(lambda m: m.load, [torch])]"),
    ("serialisation", "forward", "{'t': torch}.get('t').load('x')"),
    ("handed on", "forward", "(lambda: torch)().load('x')"),
    ("handed on", "forward", "x.t = torch\nx.t.load('x')"),
    ("handed on", "forward", "match torch:\n    case object(load=f):\n        f('x')"),
    ("reflection", "forward", "match self.forward:\n    case object(__globals__=g):\n        g"),
    ("serialisation", "head", "def t():\n    return torch\nt().load('x')"),
    ("serialisation", "head", "def t(m):\n    return m\nt(torch).load('x')"),
    ("serialisation", "head", "def t(m):\n    return m.load\nt(m=torch)('x')"),
    ("serialisation", "head", "def t(o, n):\n    return getattr(o, n)\nt(torch, 'load')('x')"),
    ("serialisation", "whole", CLASS + "    t = torch"),
    ("serialisation", "whole", CLASS + "    def __init__(self, config):\n        self.t = torch"),
    ("serialisation", "whole", CLASS + "    @property\n    def t(self):\n        return torch"),
    ("serialisation", "whole", CLASS + "    def __init__(self, t):\n        self.t = t\nCausalSelfAttention(torch)"),
    ("serialisation", "forward", "name = 'lo' 'ad'\ngetattr(torch, name)('x')"),
    ("serialisation", "forward", "getattr(torch, f'load')('x')"),
    ("serialisation", "forward", "ms = [torch]\nms[0].load('x')"),
    ("serialisation", "forward", "ms = [torch]\nfor m in ms:\n    m.load('x')"),
    ("serialisation", "forward", "{'t': torch}['t'].load('x')"),
]


@pytest.mark.parametrize(("rule", "place", "code"), HOSTILE)
def test_a_module_that_changes_hands_is_refused(
    rule: str, place: str, code: str, assert_refused: AssertRefused
) -> None:
    """The rule about what is used of it, or about handing it on, is among those named."""
    assert_refused(rule, place, code)
