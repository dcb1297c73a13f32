"""What the agent's functions are given and give back, and what its classes keep, is followed."""

import libcst as cst
import pytest

from sandbox.policy.binding import bind_all
from sandbox.policy.learning import learn
from sandbox.policy.names import meanings
from sandbox.policy.scopes import Scope

FLOWS = {
    "a result": ("def f(): return os", "f().kill"),
    "a result of a result": ("def f(): return os\ndef g(): return f()", "g().kill"),
    "an argument by place": ("def f(a, b): return b\nf(1, os)", "f().kill"),
    "an argument by name": ("def f(a, *, b): return b\nf(b=os, a=1)", "f().kill"),
    "an argument of a method": ("class C:\n    def f(self, a): return a\nC().f(os)", "c.f(1).kill"),
    "an argument of a method, through its class": ("class C:\n    def f(self, a): return a\nC.f(1, os)", "c.f().kill"),
    "an attribute of a class": ("class C:\n    a = os", "C.a.kill"),
    "an attribute that a method sets": ("class C:\n    def f(self):\n        self.a = os", "C.a.kill"),
    "an attribute that a constructor is given": (
        "class C:\n    def __init__(self, a):\n        self.a: object = a\nC(os)",
        "C.a.kill",
    ),
    "a property": ("class C:\n    @functools.cached_property\n    def a(self): return os", "C.a.kill"),
}


def learnt(text: str) -> Scope:
    """The module level of some code that has been learnt."""
    module, scope = cst.parse_module(f"import os, functools\n{text}\n"), Scope()
    bind_all(module.body, scope)
    learn((statement, scope) for statement in module.body)
    return scope


@pytest.mark.parametrize("flow", FLOWS)
def test_a_module_is_known_again_where_it_arrives(flow: str) -> None:
    """Arguments, results and attributes of the agent's own stand for what they were set to."""
    text, expression = FLOWS[flow]
    assert meanings(cst.parse_expression(expression), learnt(text)) == {"os.kill"}


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("def f(a): return a\nf(1)", "f(os).kill"),  # this call is not in the code
        ("def f(a): return f(a)\nf(f(1))", "f(1).kill"),
        ("class C:\n    a = os\n    def f(self): return self.b", "C.b.kill"),
        ("class C:\n    a = os\nclass D:\n    a = 1", "D.a.kill"),
        ("def f(*a): return a\nf(*[os])", "f().kill"),
    ],
)
def test_nothing_else_is_taken_for_it(text: str, expression: str) -> None:
    """Other calls, other attributes and other classes stand for nothing; what calls itself ends."""
    assert meanings(cst.parse_expression(expression), learnt(text)) == set()


def test_code_that_calls_deeply_is_read_to_its_end() -> None:
    """A thousand functions that call one another cost no recursion."""
    lines = ["def f0(): return x", *(f"def f{n + 1}(): return f{n}()" for n in range(1000))]
    assert meanings(cst.parse_expression("f1000().kill"), learnt("\n".join(lines))) == set()
