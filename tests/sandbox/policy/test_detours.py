"""Code that goes a long way round is refused as well: other names, values handed on, patches from afar, texts."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.errors import PolicyRefused
from sandbox.guards import check
from sandbox.tasks import LoadedTask

Scripted = Callable[..., Document]

CLASS = "class CausalSelfAttention(nn.Module):\n    def forward(self, x):\n        return self.t.load(x)\n"

HOSTILE = [
    # modules under other names, and what is private to them
    ("file", "head", "import enum\nenum.bltns.open('x')"),
    ("reflection", "head", "import dataclasses\ndataclasses._thread.start_new_thread(print, ())"),
    ("reflection", "head", "import collections\ncollections._sys.modules"),
    ("process", "head", "from torch.utils.data.dataloader import python_multiprocessing"),
    ("file", "head", "import logging\nlogging.io.open('val.bin')"),
    ("reflection", "head", "import string\nstring._string"),
    ("reflection", "head", "import typing\ntyping._eval_type('x', {}, {})"),
    ("reflection", "head", "import copy\ncopy._deepcopy_dispatch[int] = print"),
    ("reflection", "head", "import numpy as np\nnp._pytesttester"),
    ("reflection", "forward", "torch._C._dispatch_library('IMPL', 'aten', '')"),
    ("reflection", "forward", "torch._dynamo.substitute_in_graph(print)(len)"),
    ("reflection", "head", "from torch._inductor.lowering import register_lowering"),
    ("reflection", "head", "from torch._decomp import register_decomposition"),
    ("reflection", "forward", "torch.utils.swap_tensors(x, x)"),
    ("serialisation", "forward", "torch.storage._load_from_bytes(b'')"),
    ("file", "head", "from triton.runtime.cache import get_cache_manager"),
    ("dynamic code", "forward", "np.testing.rundocs('val.txt')"),
    ("dynamic code", "forward", "torch.fx.GraphModule(self, torch.fx.Graph())"),
    ("dynamic code", "forward", "torch.jit.CompilationUnit('def f(): pass')"),
    ("process", "forward", "torch.utils.data.DataLoader([1], num_workers=1)"),
    ("reflection", "forward", "help(x)"),
    ("file", "forward", "torch.profiler.profile().export_chrome_trace('x')"),
    ("file", "forward", "x.cpu().numpy().dump('x')"),
    ("file", "forward", "x.untyped_storage()._share_filename_cpu_()"),
    ("file", "head", "import logging\nlogging.basicConfig(filename='x')"),
    ("signal", "head", "import weakref\nweakref.finalize(object(), print)"),
    ("distributed", "forward", "torch.ops._c10d_functional.all_reduce(x, 'sum', '0')"),
    ("native code", "forward", "x.numpy().ctypes"),
    ("serialisation", "forward", "torch.compiler.load_cache_artifacts(b'')"),
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
    # patches in other ways
    ("patch", "head", "def p(m):\n    m.cross_entropy = None\np(F)"),
    ("patch", "head", "def p(m):\n    m.forward = None\np(MLP)"),
    ("patch", "head", "def p(m, name, value):\n    setattr(m, name, value)\np(F, 'cross_entropy', None)"),
    ("patch", "head", "def p(m):\n    m.forward = None"),
    ("patch", "head", "def p(m):\n    setattr(m, '__call__', None)"),
    ("patch", "forward", "t = type(x)\nt.sum = None"),
    ("patch", "head", "def get():\n    return F\nget().cross_entropy = None"),
    ("patch", "head", "torch.nn.modules.module._global_forward_hooks[0] = print"),
    ("patch", "head", "torch.nn.modules.module._global_forward_hooks.update({0: print})"),
    ("patch", "head", "json.encoder.ESCAPE_DCT['x'] = 'y'"),
    ("patch", "head", "torch._inductor.config.post_grad_custom_post_pass = print"),
    ("patch", "head", "NS = 'aten'\ntorch.library.Library(NS, 'IMPL')"),
    ("patch", "head", "torch.library.define('aten::x', '() -> ()')"),
    ("patch", "head", "torch.library.register_autograd(torch.ops.aten.mm, print)"),
    ("patch", "head", "torch.library.custom_op(name='aten::mm', mutates_args=())"),
    ("patch", "head", "torch.ops.aten.mm.default.py_impl(1)(print)"),
    ("patch", "head", "lib = torch.library.Library('mine', 'FRAGMENT')\nlib.impl('aten::mm', print)"),
    ("tensor subclass", "head", "class T(torch.Tensor):\n    def view(self, *s):\n        return self"),
    (
        "tensor subclass",
        "head",
        "class T:\n    @classmethod\n    def __torch_function__(cls, f, t, a=(), k=None):\n        return f(*a)",
    ),
    ("tensor subclass", "head", "class T:\n    __torch_dispatch__ = classmethod(print)"),
    ("tensor subclass", "forward", "T = type('T', (torch.Tensor,), {})"),
    ("tensor subclass", "forward", "class T(type(x)):\n    pass"),
    ("global hook", "forward", "torch.autograd.graph.saved_tensors_hooks(print, print).__enter__()"),
    ("global hook", "head", "from torch.nn.modules.module import register_module_module_registration_hook"),
    ("native code", "head", "class A:\n    __array_interface__ = {'data': (1, False)}"),
    # text that is run
    ("dynamic code", "forward", "def f(x: \"exec('1')\"): ...\nfunctools.singledispatch(len).register(f)"),
    ("serialisation", "forward", "def f(x: Optional[\"torch.load('a')\"]) -> None: ..."),
    ("dynamic code", "head", "import inspect\ninspect.signature(print, eval_str=True)"),
    ("dynamic code", "head", "class A:\n    __annotations__ = {'x=print(1)': int}"),
    ("dynamic code", "head", "class A: ...\nA.__annotations__['x=print(1)'] = int"),
    ("dynamic code", "head", "from typing_extensions import evaluate_forward_ref"),
    ("reflection", "forward", "'{0.__globals__}'.format(self.forward)"),
    ("reflection", "forward", "names = ['__globals__']"),
    ("reflection", "forward", "type(self).mro()"),
    ("environment", "head", "import operator\noperator.setitem(os.environ, 'RANK', '1')"),
    ("reflection", "forward", "F.layer_norm.__defaults__ = ()"),
    ("file", "forward", "f'{x:{open(1)}}'"),
]


@pytest.mark.parametrize(("rule", "place", "code"), HOSTILE)
def test_a_detour_is_refused_by_the_rule_about_its_end(
    rule: str, place: str, code: str, scripted: Scripted, linear_task: LoadedTask
) -> None:
    """The rule that an attempt breaks is among those named, and the place is in the region."""
    document = scripted(place, code)
    with pytest.raises(PolicyRefused) as refused:
        check(document, {}, linear_task.task.policy)
    assert refused.value.line in document.ranges[0]
    assert f"{rule})" in refused.value.message
