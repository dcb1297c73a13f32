"""What a name stands for follows imports, aliases and scopes as Python does."""

import libcst as cst
import pytest

from sandbox.policy.binding import bind_all, comprehension_scope, function_scope
from sandbox.policy.names import meanings
from sandbox.policy.scopes import Scope


def module_of(text: str) -> tuple[cst.Module, Scope]:
    """A module and its scope."""
    module, scope = cst.parse_module(text), Scope()
    bind_all(module.body, scope)
    return module, scope


@pytest.mark.parametrize(
    ("text", "expression", "expected"),
    [
        ("import torch", "torch.load", {"torch.load"}),
        ("import torch.nn.functional as F", "F.linear", {"torch.nn.functional.linear"}),
        ("import torch.nn", "torch.load", {"torch.load"}),
        ("from torch import nn as n", "n.Linear", {"torch.nn.Linear"}),
        ("from ..a import b", "b.c", {"..a.b.c"}),
        ("", "open", {"builtins.open"}),
        ("open = 3", "open", set()),
        ("import os\no = os\np = o", "p.path", {"os.path"}),
        ("import os\na, (b, c) = 1, (2, os)", "c.kill", {"os.kill"}),
        ("import os\na, b = pair", "b.kill", set()),
        ("import os\n(o := os)", "o.kill", {"os.kill"}),
        ("import os", "(o := os).kill", {"os.kill"}),
        ("import os, io\nx = os if y else io", "x.open", {"os.open", "io.open"}),
        ("import os\nx = None or os", "x.kill", {"os.kill"}),
        ("import os", "getattr(os, 'ki' 'll')", {"os.kill"}),
        ("import os", "getattr(os, name)", set()),
        ("import os", "os.__dict__['kill']", {"os.kill"}),
        ("import os", "vars(os)['kill']", {"os.kill"}),
        ("import os", "os.environ['A']", set()),
        ("def vars(x): ...\nimport os", "vars(os)['kill']", set()),
        ("for t in (torch, np): pass", "t.load", {"builtins.torch.load", "builtins.np.load"}),
        ("import torch", "(None, torch)[1].load", {"torch.load"}),
        ("a = b\nb = a", "a.c", set()),
        ("import os\nm = {'a': os}", "m['b'].kill", {"os.kill"}),
        ("import os\nm = [os]\nfor n in m: pass", "n.kill", {"os.kill"}),
        ("import os\nm = [os]", "m.pop().kill", {"os.kill"}),
        ("import os\nm = (m[0], os)", "m[1].kill", {"os.kill"}),
        ("import os\nname = 'ki' + 'll'", "getattr(os, name)", {"os.kill"}),
        ("import os", "getattr(os, f'\\x6bill')", {"os.kill"}),
        ("try:\n    import fla\nexcept ImportError:\n    fla = None", "fla.ops", {"fla.ops"}),
        ("with torch as t: pass\nfor u in v: pass", "t.x", set()),
        ("match x:\n    case {'a': y, **os}: pass\n    case [*io] as sys: pass", "os.x", set()),
        ("class os: ...", "os.kill", set()),
        ("x = f(1)", "x.load", set()),
    ],
)
def test_a_name_stands_for_what_it_was_imported_or_set_to(text: str, expression: str, expected: set[str]) -> None:
    """Imports, aliases, tuples, both branches of a choice, getattr and __dict__ with literal names are followed."""
    _, scope = module_of(text)
    assert meanings(cst.parse_expression(expression), scope) == expected


def test_a_function_sees_its_own_names_first_and_never_those_of_a_class() -> None:
    """Arguments and local names hide imports, declared globals do not, and a class body is passed over."""
    text = (
        "import os, io, re\n"
        "class C:\n"
        "    re = 1\n"
        "    def method(self, os, *, re=re, key=None):\n"
        "        global io\n"
        "        io = io\n"
    )
    module, scope = module_of(text)
    class_ = module.body[1]
    assert isinstance(class_, cst.ClassDef)
    method = class_.body.body[1]
    assert isinstance(method, cst.FunctionDef)
    inside = Scope(scope, is_class=True)
    bind_all([class_.body], inside)
    assert meanings(cst.Name("re"), inside) == set()
    local = function_scope(method, inside)
    assert meanings(cst.Name("os"), local) == set()
    assert meanings(cst.Name("key"), local) == set()
    assert meanings(cst.Name("re"), local) == set(), "the default is the class's own"
    assert meanings(cst.Name("io"), local) == {"io"}
    assert local.in_function
    assert not inside.in_function


def test_a_comprehension_hides_its_targets_only_inside() -> None:
    """The variable of a comprehension is its own."""
    _, scope = module_of("import os")
    comprehension = cst.parse_expression("[os for os in x for io in y]")
    assert isinstance(comprehension, cst.ListComp)
    inside = comprehension_scope(comprehension, scope)
    assert meanings(cst.Name("os"), inside) == set()
    assert meanings(cst.Name("io"), inside) == set()
    assert meanings(cst.Name("os"), scope) == {"os"}


def test_aliases_that_multiply_stay_few() -> None:
    """Doubling the choices thirty times over costs neither time nor memory."""
    lines = ["import os, io", "x0 = os if a else io"]
    lines += [f"x{n + 1} = x{n}.a if a else x{n}.b" for n in range(30)]
    _, scope = module_of("\n".join(lines))
    assert 0 < len(meanings(cst.Name("x30"), scope)) <= 16
