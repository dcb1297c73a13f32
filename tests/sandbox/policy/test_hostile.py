"""Code that reaches too far is refused, by the rule that is about it."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.errors import PolicyRefused
from sandbox.guards import check
from sandbox.tasks import LoadedTask

AssertRefused = Callable[[str, str, str], None]
Scripted = Callable[..., Document]

HOSTILE = [
    # processes
    ("process", "head", "import subprocess"),
    ("process", "head", "import os as o\no.system('ls')"),
    ("process", "head", "from os import system"),
    ("process", "head", "from os import fork as spoon"),
    ("process", "forward", "os.kill(os.getppid(), 9)"),
    ("process", "forward", "os._exit(0)"),
    ("process", "forward", "getattr(os, 'sys' + 'tem')('ls')"),
    ("process", "forward", "torch.os.system('ls')"),
    ("process", "head", "import torch.multiprocessing as mp"),
    ("process", "head", "from torch import multiprocessing"),
    ("process", "forward", "(o := os).system('ls')"),
    ("process", "head", "from multiprocessing import Process"),
    ("process", "head", "from concurrent.futures import ProcessPoolExecutor"),
    # network, machine code, signals, threads, the end of the run
    ("network", "head", "import socket"),
    ("network", "head", "import urllib.request"),
    ("native code", "head", "import ctypes"),
    ("native code", "head", "from ctypes import cdll as c"),
    ("native code", "head", "from torch.utils.cpp_extension import load_inline"),
    ("native code", "head", "import torch.utils.cpp_extension"),
    ("native code", "forward", "torch.utils.cpp_extension.load('x', ['x.cpp'])"),
    ("native code", "forward", "torch.ops.load_library('x.so')"),
    ("native code", "forward", "np.ctypeslib.load_library('x', '.')"),
    ("signal", "forward", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"),
    ("signal", "head", "from signal import alarm"),
    ("signal", "head", "import atexit"),
    ("thread", "head", "import threading"),
    ("thread", "head", "import asyncio"),
    ("exit", "forward", "sys.exit(0)"),
    ("exit", "forward", "quit()"),
    # code from text
    ("dynamic code", "forward", "exec('x = 1')"),
    ("dynamic code", "forward", "e = eval\ne('x')"),
    ("dynamic code", "forward", "compile('1', 'a', 'eval')"),
    ("dynamic code", "forward", "__import__('os').system('ls')"),
    ("dynamic code", "head", "import importlib"),
    ("dynamic code", "head", "from builtins import exec as run"),
    ("dynamic code", "head", "from types import FunctionType"),
    ("dynamic code", "forward", "torch.nn.functional.importlib.import_module('os')"),
    # files
    ("file", "forward", "open('val.bin', 'rb')"),
    ("file", "forward", "read = open\nread('val.bin')"),
    ("file", "forward", "[f for f in map(open, ['val.bin'])]"),
    ("file", "forward", "np.load('val.npy')"),
    ("file", "forward", "np.memmap('val.bin', dtype='uint16')"),
    ("file", "head", "from numpy import fromfile as ff"),
    ("file", "forward", "getattr(np, 'memmap')('val.bin')"),
    ("file", "head", "from pathlib import Path"),
    ("file", "head", "import io"),
    ("file", "forward", "json.codecs.open('val.bin')"),
    ("file", "forward", "os.listdir('..')"),
    ("file", "forward", "os.symlink('a', 'b')"),
    ("file", "forward", "os.path.os.remove('a')"),
    ("file", "forward", "x.cpu().numpy().tofile('x')"),
    ("file", "forward", "torch.UntypedStorage.from_file('x', False, 10)"),
    ("file", "forward", "[y for os in os.scandir('.') for y in [os]]"),
    ("file", "head", "from numpy.core.multiarray import fromfile"),
    ("file", "forward", "torch._C.PyTorchFileReader('ckpt.pt')"),
    ("file", "forward", "y: print(open('val.bin')) = 1"),
    ("file", "forward", "f'{open(chr(97))}'"),
    ("file", "forward", "(lambda read=open: read('val.bin'))()"),
    ("process", "head", "import random\nrandom._os.system('ls')"),
    ("dynamic code", "forward", "torch.utils.benchmark.Timer('x').timeit(1)"),
    ("reflection", "forward", "(i for i in x).gi_frame"),
    ("reflection", "forward", "try:\n    x()\nexcept TypeError as e:\n    e.__traceback__.tb_frame.f_back.f_locals"),
    ("reflection", "forward", "self.error.__traceback__.tb_frame"),
    ("process", "head", "m = time if F else os\nm.kill(1, 9)"),
    ("reflection", "forward", "x.grad_fn.next_functions[0][0].variable"),
    # the environment
    ("environment", "head", "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '7'"),
    ("environment", "head", "from os import environ as e\ne['PYTHONPATH'] = '.'"),
    ("environment", "head", "env = os.environ\nenv.update(LD_PRELOAD='x')"),
    ("environment", "forward", "os.environ.setdefault('LD_' + 'PRELOAD', 'x')"),
    ("environment", "forward", "os.environ |= {'TRITON_CACHE_DIR': 'a', 'RANK': '1'}"),
    ("environment", "forward", "del os.environ['RANK']"),
    ("environment", "forward", "os.environ.clear()"),
    ("environment", "forward", "os.putenv('RANK', '1')"),
    ("environment", "forward", "name = 'TRITON_CACHE_DIR'\nos.environ[name] = 'x'"),
    # reflection
    ("reflection", "forward", "self.forward.__globals__['get_lr']"),
    ("reflection", "forward", "getattr(self.forward, '__glo' 'bals__')"),
    ("reflection", "forward", "globals()['get_lr'] = None"),
    ("reflection", "head", "vars()['get_lr'] = None"),
    ("reflection", "forward", "self.__class__.__base__.__subclasses__()"),
    ("reflection", "forward", "().__class__.__mro__"),
    ("reflection", "forward", "sys.modules['__main__'].Training"),
    ("reflection", "forward", "s = sys\ns._getframe(3).f_locals['targets']"),
    ("reflection", "head", "import inspect\ninspect.currentframe()"),
    ("reflection", "head", "from inspect import stack"),
    ("reflection", "head", "import gc\ngc.get_objects()"),
    ("reflection", "forward", "__builtins__"),
    ("reflection", "forward", "print.__self__"),
    ("reflection", "head", "import builtins"),
    ("reflection", "head", "import __main__"),
    ("reflection", "forward", "vars(torch)['load']"),
    ("reflection", "forward", "torch.__getattribute__('load')"),
    ("reflection", "head", "from operator import attrgetter"),
    ("reflection", "forward", "torch.__dict__['load']('ckpt.pt')"),
    # other people's code
    ("patch", "head", "F.cross_entropy = lambda *a, **k: torch.zeros(())"),
    ("patch", "head", "torch.nn.functional.cross_entropy = None"),
    ("patch", "head", "import torch.nn.functional as G\nG.linear = None"),
    ("patch", "head", "from torch import Tensor as T\nT.item = lambda self: 0.0"),
    ("patch", "head", "setattr(F, 'cross_entropy', None)"),
    ("patch", "head", "s = setattr\ns(torch.Tensor, 'backward', None)"),
    ("patch", "head", "nn.Module.__call__ = None"),
    ("patch", "head", "type.__setattr__(nn.Linear, 'forward', None)"),
    ("patch", "head", "GPTish, MLP.forward = 1, None"),
    ("patch", "head", "LayerNorm.forward: object = None"),
    ("patch", "head", "del MLP.forward"),
    ("patch", "head", "for math.pi in [3]:\n    pass"),
    ("patch", "forward", "time.perf_counter = lambda: 0.0"),
    ("patch", "forward", "GPT.forward = None"),
    ("patch", "forward", "type(x).item = None"),
    ("patch", "forward", "x.__class__.sum = None"),
    ("reflection", "forward", "x.__class__ = object"),
    ("patch", "head", "MLP.register_forward_hook = None"),
    ("patch", "head", "lib = torch.library.Library('aten', 'IMPL')"),
    ("patch", "head", "class Everything(torch.overrides.TorchFunctionMode):\n    pass"),
    ("patch", "head", "from unittest import mock"),
    ("patch", "head", "F.__setattr__('cross_entropy', None)"),
    ("patch", "head", "for module in (F, nn):\n    module.linear = None"),
    ("patch", "head", "def patch(module=F):\n    module.linear = None"),
    ("patch", "head", "del [F, nn][0].linear"),
    ("patch", "forward", "with torch.no_grad() as F.linear:\n    pass"),
    ("patch", "forward", "[0 for F.linear in [None]]"),
    ("reflection", "head", "F.cross_entropy.__code__ = None"),
    # stored objects, hubs, hooks into everything, the other workers
    ("serialisation", "forward", "torch.load('ckpt.pt')"),
    ("serialisation", "forward", "getattr(torch, 'load')('ckpt.pt')"),
    ("serialisation", "head", "t = torch\nu = t\nu.save({}, 'ckpt.pt')"),
    ("serialisation", "head", "a, b = math, torch\nb.load('ckpt.pt')"),
    ("serialisation", "head", "from torch import load as fetch"),
    ("serialisation", "head", "import torch as numpy\nnumpy.load('ckpt.pt')"),
    ("serialisation", "forward", "torch.jit.load('x.pt')"),
    ("serialisation", "forward", "nn.modules.module.torch.load('ckpt.pt')"),
    ("serialisation", "head", "import pickle"),
    ("serialisation", "head", "from marshal import loads"),
    ("serialisation", "head", "class Payload:\n    def __reduce__(self):\n        return print, ('x',)"),
    ("download", "forward", "torch.hub.load('a/b', 'c')"),
    ("download", "head", "from transformers import AutoModel"),
    ("download", "head", "from fla.models import GLAModel\nGLAModel.from_pretrained('x')"),
    ("global hook", "head", "nn.modules.module.register_module_forward_hook(print)"),
    ("global hook", "head", "from torch.nn.modules.module import register_module_full_backward_hook"),
    ("global hook", "head", "from torch.optim.optimizer import register_optimizer_step_pre_hook as h"),
    ("distributed", "forward", "dist.broadcast(x, 0)"),
    ("distributed", "forward", "torch.distributed.all_reduce(x)"),
    ("distributed", "head", "from torch.distributed import all_gather"),
    # what this task keeps from its regions
    ("task", "forward", "TokenWindows(['../val.bin'], 1, 0)"),
    ("task", "head", "M = MetricsFile\nM('metrics.jsonl', [])"),
    ("patch", "head", "Training.evaluate = None"),
    ("import", "head", "import sqlalchemy"),
    ("import", "head", "from . import neighbour"),
]


@pytest.mark.parametrize(("rule", "place", "code"), HOSTILE)
def test_hostile_code_is_refused_by_the_rule_about_it(
    rule: str, place: str, code: str, assert_refused: AssertRefused
) -> None:
    """Every attempt is refused, the rule that it breaks is among those named, and the place is in the region."""
    assert_refused(rule, place, code)


def test_a_refusal_shows_the_place_and_what_is_allowed(
    scripted: Scripted, template: Document, linear_task: LoadedTask
) -> None:
    """The message has line and column, the line with a caret, the rule, what to do instead, and further findings."""
    document = scripted("forward", "y = 1; torch.load('a')\nos.system('b')", template)
    line = next(n for n, text in enumerate(document.lines, 1) if "torch.load('a')" in text)
    with pytest.raises(PolicyRefused) as refused:
        check(document, {}, linear_task.task.policy)
    assert (refused.value.line, refused.value.column) == (line, 16)
    head, shown, caret, instead, others = refused.value.message.split("\n")
    assert head == (
        f"The task's policy refuses line {line}, column 16: torch.load reads or writes stored objects (serialisation)."
    )
    assert shown.index("torch.load") == caret.index("^")
    assert instead.startswith("The harness keeps the checkpoint")
    assert others == f"Also refused: os.system (line {line + 1}, process)."


def test_an_import_that_is_not_allowed_says_which_are(scripted: Scripted, linear_task: LoadedTask) -> None:
    """The task's own list stands in the refusal."""
    with pytest.raises(
        PolicyRefused, match=r"(?s)import\).*It allows torch, triton, fla, einops.*weakref\.$"
    ) as refused:
        check(scripted("head", "import sqlalchemy"), {}, linear_task.task.policy)
    assert refused.value.exit_code == 3
