"""What the rules are about, by dotted name: the longest entry that begins a name decides about it.

Which modules may be imported at all is the task's list (sandbox/task_schema.py); here stands what is dangerous in them,
what is harmless in modules that are otherwise refused, and the attributes that tell by their name alone.
"""

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
        torch.multiprocessing torch.distributed.run torch.distributed.launch""",
    rules.NETWORK: """
        socket socketserver ssl select selectors http urllib requests httpx aiohttp ftplib smtplib telnetlib xmlrpc
        webbrowser""",
    rules.NATIVE: """
        ctypes cffi mmap _ctypes torch.utils.cpp_extension torch.ops.load_library
        torch.classes.load_library torch.cuda.CUDAPluggableAllocator numpy.ctypeslib numpy.f2py
        numba cupy posix nt resource triton.runtime.build triton.backends""",
    rules.SIGNAL: "signal faulthandler atexit",
    rules.THREAD: "threading _thread asyncio sched queue torch.futures torch.jit.fork torch.jit.wait",
    rules.DYNAMIC: """
        builtins.exec builtins.eval builtins.compile builtins.__import__ builtins.breakpoint importlib imp pkgutil
        timeit types.CodeType types.FunctionType types.LambdaType types.ModuleType typing.get_type_hints
        typing.ForwardRef torch.utils.benchmark""",
    rules.FILE: """
        builtins.open builtins.input os pathlib shutil io codecs glob fileinput tempfile tarfile zipfile gzip bz2 lzma
        sqlite3 dbm csv linecache logging.FileHandler logging.config logging.handlers
        numpy.load numpy.save numpy.savez numpy.savez_compressed numpy.fromregex numpy.lib.format numpy.lib.npyio
        torch.from_file torch._C.PyTorchFileReader torch._C.PyTorchFileWriter torch.utils.tensorboard torch.onnx
        h5py pyarrow safetensors""",
    rules.ENVIRONMENT: "os.putenv os.unsetenv os.environb",
    rules.REFLECTION: """
        builtins builtins.globals builtins.__builtins__ builtins.__loader__ builtins.__spec__ __main__ sys gc inspect
        traceback tracemalloc dis ast symtable site sysconfig operator.attrgetter operator.methodcaller
        types.FrameType types.TracebackType torch.utils._python_dispatch torch.autograd.graph""",
    rules.PATCH: "torch.overrides unittest mock",
    rules.SERIALISATION: """
        pickle marshal shelve dill cloudpickle joblib copyreg torch.load torch.save torch.serialization torch.package
        torch.jit.load torch.jit.save torch.export.load torch.export.save torch._C._import_ir_module""",
    rules.DOWNLOAD: "torch.hub torch.utils.model_zoo huggingface_hub transformers datasets modelscope wandb",
    rules.HOOK: """
        torch.nn.modules.module.register_module_forward_hook torch.nn.modules.module.register_module_forward_pre_hook
        torch.nn.modules.module.register_module_backward_hook
        torch.nn.modules.module.register_module_full_backward_hook
        torch.nn.modules.module.register_module_full_backward_pre_hook
        torch.nn.modules.module.register_module_buffer_registration_hook
        torch.nn.modules.module.register_module_module_registration_hook
        torch.nn.modules.module.register_module_parameter_registration_hook
        torch.optim.optimizer.register_optimizer_step_pre_hook torch.optim.optimizer.register_optimizer_step_post_hook
        torch.autograd.graph.register_multi_grad_hook""",
    rules.DISTRIBUTED: "torch.distributed",
    rules.EXIT: "builtins.exit builtins.quit sys.exit",
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
    torch.autograd.graph.saved_tensors_hooks torch.autograd.graph.save_on_cpu
    torch.autograd.graph.disable_saved_tensors_hooks torch.autograd.graph.Node
    types.MethodType"""
"""What may be used of modules that are otherwise refused."""

SETTINGS = ("torch.backends", "torch._dynamo.config", "torch._inductor.config", "torch._functorch.config")
"""Modules whose attributes are there to be assigned to; a warning says so."""

ENVIRONMENT = "os.environ"

REFLECTING_ATTRIBUTES = _words(
    """__globals__ __builtins__ __subclasses__ __bases__ __base__ __mro__ __code__ __closure__ __loader__ __spec__
    __import__ __self__"""
)
"""Attributes that are refused of any object."""

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
    **dict.fromkeys(("__reduce__", "__reduce_ex__"), rules.SERIALISATION),
    "load_library": rules.NATIVE,
}
"""Attributes that tell what they are by their name, of any object but self."""

PICKLING_METHODS = frozenset({"__reduce__", "__reduce_ex__"})
"""Methods that a class defines to run code of its own when an object is loaded."""

MODULE_HOOKS = _words(
    """register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_backward_hook register_state_dict_pre_hook register_load_state_dict_pre_hook"""
)
"""Hooks of a torch module; those on the region's own submodules are its own business."""

FIXED_ATTRIBUTES = frozenset({"__class__", "__bases__", "__dict__", "__code__", "__globals__", "__builtins__"})
"""Attributes that are not assigned to, of whatever object."""

OPERATOR_OVERRIDES = _words(
    """torch.library.Library torch.library.impl torch.library.impl_abstract torch.library.register_kernel
    torch.library.register_autograd torch.library.register_fake"""
)
"""Calls that may give an operator of torch itself another meaning, if their first argument names one."""

TORCH_OPERATORS = ("aten", "prims", "prim", "c10d", "torchvision")
"""The namespaces of torch's own operators."""
