"""What the rules are about, by dotted name: the longest entry that begins a name decides about it.

Which modules may be imported at all is the task's list (sandbox/task_schema.py); here stands what is dangerous in them,
what is harmless in modules that are otherwise refused, and the attributes that tell by their name alone.
"""

import re

from sandbox.policy import rules
from sandbox.policy.rules import Rule


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RULED: dict[Rule, str] = {
    rules.PROCESS: """
        subprocess multiprocessing concurrent pty runpy code codeop pdb bdb
        os.system os.popen os.fork os.forkpty os.execl os.execle os.execlp os.execlpe os.execv os.execve os.execvp
        os.execvpe os.spawnl os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve os.spawnvp os.spawnvpe
        os.posix_spawn os.posix_spawnp os.kill os.killpg os._exit os.abort os.wait os.waitpid os.setsid os.nice
        torch.multiprocessing torch.distributed.run torch.distributed.launch
        torch.utils.data.DataLoader torch.utils.data.dataloader torch.utils.data._utils triton.tools""",
    rules.NETWORK: """
        socket socketserver ssl select selectors http urllib requests httpx aiohttp ftplib smtplib telnetlib xmlrpc
        webbrowser""",
    rules.NATIVE: """
        ctypes cffi mmap _ctypes torch.utils.cpp_extension torch.ops.load_library
        torch.classes torch.cuda.CUDAPluggableAllocator torch.cuda.memory.CUDAPluggableAllocator
        torch.cuda.memory.change_current_allocator numpy.ctypeslib numpy.f2py numpy.distutils
        numpy.lib.stride_tricks.as_strided triton.compile triton.compiler.compile triton.compiler.compiler
        numba cupy posix nt resource triton.runtime.build triton.backends triton._C""",
    rules.SIGNAL: "signal faulthandler atexit weakref.finalize",
    rules.THREAD: """
        threading _thread asyncio sched queue torch.futures torch.jit.fork torch.jit.wait
        torch.nn.parallel.parallel_apply torch.nn.parallel.data_parallel torch.nn.DataParallel""",
    rules.DYNAMIC: """
        builtins.exec builtins.eval builtins.compile builtins.__import__ builtins.breakpoint importlib imp pkgutil
        timeit types.CodeType types.FunctionType types.LambdaType types.ModuleType types.new_class
        builtins.__annotations__ typing.get_type_hints typing.ForwardRef typing.evaluate_forward_ref
        typing_extensions.get_type_hints typing_extensions.evaluate_forward_ref typing_extensions.get_annotations
        numpy.testing numpy.test torch.fx torch.jit.CompilationUnit torch.testing._internal torch.utils.benchmark""",
    rules.FILE: """
        builtins.open builtins.input os pathlib shutil io codecs glob fileinput tempfile tarfile zipfile gzip bz2 lzma
        sqlite3 dbm csv linecache logging.FileHandler logging.config logging.handlers
        numpy.load numpy.save numpy.savez numpy.savez_compressed numpy.fromregex numpy.lib.format numpy.lib.npyio
        torch.from_file torch._C.PyTorchFileReader torch._C.PyTorchFileWriter torch.utils.tensorboard torch.onnx
        torch.contrib torch.cuda.tunable.read_file torch.cuda.tunable.write_file torch.cuda.tunable.set_filename
        torch.cuda.profiler torch.cuda.gds torch.profiler.tensorboard_trace_handler
        torch.profiler.ExecutionTraceObserver torch.monitor triton.runtime.cache triton.profiler
        sys.stdout.buffer sys.stderr.buffer sys.stdout.detach sys.stderr.detach h5py pyarrow safetensors""",
    rules.ENVIRONMENT: "os.putenv os.unsetenv os.environb",
    rules.REFLECTION: """
        builtins builtins.globals builtins.__builtins__ builtins.__loader__ builtins.__spec__ __main__ sys gc inspect
        traceback tracemalloc dis ast symtable site sysconfig operator.attrgetter operator.methodcaller
        types.FrameType types.TracebackType logging.currentframe builtins.help torch.utils torch.autograd.graph
        torch._C torch._classes torch._custom_op torch._custom_ops torch._decomp torch._dispatch torch._dynamo
        torch._environment torch._export torch._functorch torch._guards torch._inductor torch._jit_internal
        torch._lazy torch._library torch._logging torch._meta_registrations torch._native torch._ops torch._prims
        torch._python_dispatcher torch._refs torch._sources torch._strobelight torch._subclasses
        torch._thread_safe_fork torch._utils torch._utils_internal torch._weights_only_unpickler""",
    rules.PATCH: "torch.overrides unittest mock",
    rules.SERIALISATION: """
        pickle marshal shelve dill cloudpickle joblib copyreg torch.load torch.save torch.serialization torch.package
        torch.jit.load torch.jit.save torch.export.load torch.export.save torch._C._import_ir_module torch.storage
        torch.compiler.load_cache_artifacts torch.compiler.save_cache_artifacts""",
    rules.DOWNLOAD: "torch.hub torch.utils.model_zoo huggingface_hub transformers datasets modelscope wandb",
    rules.HOOK: """
        torch.autograd.graph.register_multi_grad_hook torch._dynamo.callback_handler torch._dynamo.on_compile_start
        torch._dynamo.on_compile_end torch._dynamo.register_backend""",
    rules.DISTRIBUTED: "torch.distributed torch.ops.c10d torch.ops._c10d_functional torch.ops.symm_mem",
    rules.EXIT: "builtins.exit builtins.quit builtins.SystemExit sys.exit",
    rules.ENVIRONMENT_READ: "os.environ os.getenv",
    rules.SETTING: """
        torch.set_default_dtype torch.set_default_device torch.set_default_tensor_type
        torch.use_deterministic_algorithms torch.set_deterministic_debug_mode torch.set_num_threads
        logging.basicConfig""",
    rules.SEED: """
        torch.manual_seed torch.seed torch.set_rng_state torch.cuda.manual_seed torch.cuda.manual_seed_all
        torch.cuda.seed torch.cuda.set_rng_state torch.random random numpy.random secrets""",
    rules.CLOCK: "time datetime",
    rules.FOLDER: """
        os.makedirs os.mkdir os.getcwd os.path.exists os.path.isdir os.path.isfile tempfile.gettempdir
        tempfile.mkdtemp""",
}
"""The names of each rule, separated by white space."""

HARMLESS = """
    os.path.join os.path.dirname os.path.basename os.path.abspath os.path.expanduser os.path.normpath os.path.sep
    os.path.splitext os.getpid os.cpu_count os.sep os.linesep os.name
    sys.version sys.version_info sys.maxsize sys.float_info sys.platform sys.byteorder sys.stdout sys.stderr
    inspect.signature inspect.Parameter inspect.Signature inspect.isfunction inspect.isclass inspect.getfullargspec
    traceback.print_exc traceback.format_exc
    torch.distributed.get_rank torch.distributed.get_world_size torch.distributed.is_initialized
    torch.distributed.is_available torch.distributed.get_backend torch.distributed.tensor torch.signal torch.code
    torch.utils.checkpoint torch.utils.data.Dataset torch.utils.data.TensorDataset torch.utils.data.default_collate
    torch.utils.data.get_worker_info torch.utils.deterministic torch.utils.dlpack torch.utils.flop_counter
    torch.utils.hooks torch.utils.weak torch.utils._pytree torch.utils._triton torch.utils._contextlib
    torch.storage.UntypedStorage torch.storage.TypedStorage torch.fx.wrap torch.fx.symbolic_trace torch.fx.Node
    torch._C._nn torch._C._functions torch._C._special torch._C._linalg torch._C._fft torch._C._log_api_usage_once
    torch._C._get_tracing_state torch._C._cuda_getCurrentRawStream torch._C.Generator torch._C.device torch._C.dtype
    torch._C.Graph torch._C.Value torch._C.ScriptMethod torch._C._get_privateuse1_backend_name
    torch._jit_internal.is_scripting torch._jit_internal._copy_to_script_wrapper
    torch._dynamo.config torch._dynamo.disable torch._dynamo.allow_in_graph torch._dynamo.disallow_in_graph
    torch._dynamo.forbid_in_graph torch._dynamo.graph_break torch._dynamo.mark_dynamic torch._dynamo.mark_static
    torch._dynamo.mark_static_address torch._dynamo.maybe_mark_dynamic torch._dynamo.is_compiling torch._dynamo.reset
    torch._dynamo.explain torch._dynamo.assume_constant_result torch._dynamo.nonstrict_trace
    torch._dynamo.list_backends torch._dynamo.external_utils.is_compiling torch._dynamo.eval_frame.is_compiling
    torch._inductor.config torch._functorch.config
    numpy.testing.assert_allclose numpy.testing.assert_array_equal numpy.testing.assert_equal
    numpy.testing.assert_almost_equal numpy.testing.assert_array_almost_equal
    torch.autograd.graph.saved_tensors_hooks torch.autograd.graph.save_on_cpu
    torch.autograd.graph.disable_saved_tensors_hooks torch.autograd.graph.Node
    types.MethodType"""
"""What may be used of modules that are otherwise refused."""

SETTINGS = (
    *("torch.backends", "torch._dynamo.config", "torch._inductor.config", "torch._functorch.config"),
    "triton.knobs",
)
"""Modules whose attributes are there to be assigned to; a warning says so."""

SETTINGS_THAT_RUN = re.compile(r"custom|hook|manager|_pass$|_passes$|_class$|_fn$")
"""What the names of those hold that are given functions, which then run over code outside of the region."""

ENVIRONMENT = "os.environ"

REFLECTING_ATTRIBUTES = _words(
    """__globals__ __builtins__ __subclasses__ __bases__ __base__ __mro__ __code__ __closure__ __loader__ __spec__
    __import__ __self__ mro"""
)
"""Attributes that are refused of any object."""

_REFLECTING = "__(?:globals|builtins|subclasses|bases|base|mro|code|closure|import|self)__"
TELLING_TEXT = re.compile(rf"\.{_REFLECTING}|^{_REFLECTING}$")
"""A text through which such an attribute is reached: '{0.__globals__}'.format(f), or its name alone."""

NAMESPACE_ATTRIBUTES = frozenset({"__dict__", "__getattribute__", "__getattr__"})
"""Attributes that are refused of modules and of the script's own classes: they reach every name in them."""

TELLING_ATTRIBUTES: dict[str, Rule] = {
    **dict.fromkeys(
        ("f_back", "f_globals", "f_locals", "f_builtins", "f_code", "tb_frame", "tb_next"), rules.REFLECTION
    ),
    **dict.fromkeys(("gi_frame", "gi_code", "cr_frame", "ag_frame", "next_functions"), rules.REFLECTION),
    **dict.fromkeys(("tofile", "from_file", "read_text", "read_bytes", "write_text", "write_bytes"), rules.FILE),
    **dict.fromkeys(
        ("fromfile", "memmap", "open_memmap", "genfromtxt", "loadtxt", "savetxt", "DataSource"), rules.FILE
    ),
    **dict.fromkeys(("from_pretrained", "push_to_hub", "load_state_dict_from_url"), rules.DOWNLOAD),
    **dict.fromkeys(("dump", "debug_dump", "_dump_snapshot", "_write_file", "_set_from_file"), rules.FILE),
    **dict.fromkeys(("export_chrome_trace", "export_stacks", "export_memory_timeline"), rules.FILE),
    **dict.fromkeys(("_share_filename_cpu_", "_share_fd_cpu_", "_new_shared_filename_cpu"), rules.FILE),
    **dict.fromkeys(("_new_shared_fd_cpu", "_new_using_filename_cpu", "_new_using_fd_cpu"), rules.FILE),
    **dict.fromkeys(("__reduce__", "__reduce_ex__"), rules.SERIALISATION),
    **dict.fromkeys(("load_library", "ctypes"), rules.NATIVE),
    **dict.fromkeys(("py_impl", "py_functionalize_impl", "_convert_", "_unsafe_update_src"), rules.PATCH),
    **dict.fromkeys(
        (
            *(f"register_module_{what}_hook" for what in ("forward", "forward_pre", "backward", "full_backward")),
            *(f"register_module_{what}_registration_hook" for what in ("buffer", "module", "parameter")),
            *("register_module_full_backward_pre_hook", "_execution_engine"),
            *(f"_global_{what}_hooks" for what in ("forward", "forward_pre", "backward", "backward_pre")),
            *(f"_global_{what}_registration_hooks" for what in ("buffer", "module", "parameter")),
            *(f"_global_optimizer_{when}_hooks" for when in ("pre", "post")),
            *(f"register_optimizer_step_{when}_hook" for when in ("pre", "post")),
        ),
        rules.HOOK,
    ),
    "__annotations__": rules.DYNAMIC,
    "obj": rules.REFLECTION,  # of an AttributeError: the object that lacks it, a module too
}
"""Attributes that tell what they are by their name, of any object but self."""

DEFINITIONS: dict[str, Rule] = {
    **dict.fromkeys(("__reduce__", "__reduce_ex__"), rules.SERIALISATION),
    **dict.fromkeys(("__torch_function__", "__torch_dispatch__"), rules.SUBCLASS),
    **dict.fromkeys(("__array_interface__", "__array_struct__", "__cuda_array_interface__"), rules.NATIVE),
    "__annotations__": rules.DYNAMIC,
}
"""What a class may not define: it runs when an object is loaded, when torch computes, or reaches memory by address."""

TELLING_KEYWORDS: dict[str, tuple[str, Rule]] = {
    "eval_str": ("", rules.DYNAMIC),
    "filename": ("logging.", rules.FILE),
}
"""Keywords of calls, with how the names of those functions begin that they are about."""

ONLY_WITH = _words("torch.autograd.graph.saved_tensors_hooks torch.autograd.graph.save_on_cpu")
"""Contexts that end with a `with` block; entered otherwise, they would go on in the read-only script."""

MODULE_HOOKS = _words(
    """register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_backward_hook register_state_dict_pre_hook register_load_state_dict_pre_hook"""
)
"""Hooks of a torch module; those on the region's own submodules are its own business."""

FIXED_ATTRIBUTES = _words(
    "__class__ __bases__ __dict__ __code__ __globals__ __builtins__ __closure__ __defaults__ __kwdefaults__"
)
"""Attributes that are not assigned to, of whatever object."""

OPERATOR_OVERRIDES = _words(
    """torch.library.Library torch.library.impl torch.library.impl_abstract torch.library.define
    torch.library.custom_op torch.library.triton_op torch.library.register_kernel torch.library.register_autograd
    torch.library.register_fake torch.library.register_vmap torch.library.register_autocast
    torch.library.register_torch_dispatch"""
)
"""Calls that may give an operator of torch itself another meaning, if an argument names one."""

LIBRARY_METHODS = _words("impl define fallback")
"""Those of a torch.library.Library that do the same."""

TORCH_OPERATORS = ("aten", "prims", "prim", "c10d", "torchvision")
"""The namespaces of torch's own operators."""

CHANGING_FUNCTIONS = _words(
    """functools.update_wrapper functools.total_ordering dataclasses.dataclass operator.setitem operator.delitem
    operator.ior operator.iadd operator.iconcat abc.update_abstractmethods typing.final"""
)
"""Functions that change what they are given first."""

MUTATORS = _words("update setdefault append extend insert pop popitem remove discard clear add __setitem__ __delitem__")
"""Methods that change a list, a set or a dictionary."""

CALLED_METHODS = _words("forward backward __call__ __init__ __new__ __setattr__ __getattr__ __getattribute__")
"""Methods that the read-only script calls of its modules, under names that are no data."""

INDIRECT_FUNCTIONS = _words("builtins.getattr builtins.setattr builtins.delattr builtins.vars")
"""Functions that are called by name, where it can be read on what; as values they would reach anything."""

HARMLESS_READERS = _words(
    """builtins.getattr builtins.hasattr builtins.setattr builtins.delattr builtins.isinstance builtins.print
    builtins.str builtins.repr builtins.id builtins.type builtins.bool builtins.vars builtins.dir builtins.hash"""
)
"""Functions that may be given a module: what they do with it is said elsewhere, or harmless."""

MODULES = _words(
    """torch.nn torch.nn.functional torch.nn.init torch.nn.modules torch.nn.utils torch.nn.attention torch.autograd
    torch.amp torch.cuda torch.backends torch.compiler torch.fft torch.func torch.jit torch.library torch.linalg
    torch.optim torch.ops torch.profiler torch.special torch.sparse torch.utils torch.utils.checkpoint torch.utils.data
    torch.distributed os.path collections.abc numpy.linalg numpy.random numpy.fft triton.language triton.runtime
    triton.testing fla.layers fla.modules fla.ops fla.utils einops.layers.torch"""
)
"""Modules below others, as far as they are in use; what is imported by a name without a dot is one anyway."""
