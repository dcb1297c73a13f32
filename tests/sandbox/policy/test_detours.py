"""Code that goes a long way round is refused as well: other names, patches from afar, texts."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.errors import PolicyRefused
from sandbox.guards import check
from sandbox.tasks import LoadedTask

Scripted = Callable[..., Document]

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
    ("environment", "head", "dict.update(os.environ, RANK='3')"),
    ("environment", "head", "type(os.environ).__setitem__(os.environ, 'RANK', '3')"),
    ("environment", "head", "def set(e):\n    e['RANK'] = '3'\nset(os.environ)"),
    ("environment", "head", "os.environ.data[b'RANK'] = b'3'\nos.environ.clear()"),
    ("reflection", "head", "import logging\nlogging.currentframe()"),
    # and round other corners
    ("reflection", "forward", "try:\n    torch.nope\nexcept AttributeError as e:\n    e.obj.load('x')"),
    ("reflection", "head", "import string\nstring.Formatter().get_field('0.__globals__', (print,), {})"),
    ("patch", "forward", "self.c_proj.__class__.forward = None"),
    ("patch", "forward", "type(self.c_proj).forward = None"),
    ("patch", "head", "import functools\nfunctools.update_wrapper(F.softmax, print, assigned=['__defaults__'])"),
    ("patch", "head", "import functools\nfunctools.wraps(print)(F.softmax)"),
    ("patch", "head", "import dataclasses\ndataclasses.dataclass(MLP)"),
    ("patch", "head", "import operator\noperator.setitem(torch.nn.modules.module.x, 0, print)"),
    ("global hook", "head", "h = torch.nn.modules.module._global_forward_hooks\nh[0] = print"),
    ("global hook", "head", "dict.update(torch.nn.modules.module._global_forward_hooks, {0: print})"),
    ("reflection", "forward", "torch.utils.data.datapipes.iter.FileOpener(['x'])"),
    ("native code", "head", "import triton\ntriton.compile('x.ttir')"),
    ("file", "forward", "type(sys.stdout.buffer.raw)('val.bin')"),
    ("exit", "forward", "raise SystemExit(0)"),
    ("patch", "head", "class A:\n    f = F\nA.f.softmax = None"),
    ("patch", "head", "def p(*m):\n    m[0].softmax = None\np(F)"),
    ("patch", "head", "def p(m):\n    m.__call__ = None"),
    ("patch", "head", "m = MLP if True else None\nm.forward = None"),
    ("patch", "head", "[m for m in (MLP, GPT)][0].forward = None"),
    ("dynamic code", "forward", "f: \"(lambda: exec('1'))()\" = 1"),
    ("dynamic code", "forward", "[e('x') for e in [eval]]"),
    ("dynamic code", "forward", "dict(e=eval)['e']('x')"),
    ("file", "forward", "print(*map(open, ['x']))"),
    ("reflection", "forward", "[].__class__.__base__"),
    ("reflection", "forward", "getattr(self, '__cla' + 'ss__').mro()"),
    ("reflection", "forward", "self.forward.__func__.__globals__"),
    ("reflection", "forward", "(lambda: 0).__code__.replace(co_code=b'')"),
    ("reflection", "forward", "def g():\n    yield g\nfor i in g(): i.gi_frame.f_back"),
    ("reflection", "forward", "sys._current_frames()"),
    ("reflection", "forward", "sys.settrace(print)"),
    ("reflection", "forward", "sys.setprofile(print)"),
    ("reflection", "head", "import sys as s\ns.addaudithook(print)"),
    ("thread", "forward", "torch.futures.Future()"),
    ("thread", "head", "from _thread import start_new_thread"),
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
