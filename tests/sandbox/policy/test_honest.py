"""No false alarm: what honest code does is neither refused nor warned of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.document import Document, Frame
from sandbox.guards import check
from sandbox.paths import templates_dir
from sandbox.tasks import LoadedTask, load_task

Scripted = Callable[..., Document]

HONEST = {
    "hybrid of two layers of fla": """
        try:
            from fla.layers import DeltaNet, GatedLinearAttention
            from fla.modules import FusedRMSNormGated, ShortConvolution
        except ImportError as error:
            raise ImportError(f"flash-linear-attention is missing: {error}") from error


        class CausalSelfAttention(nn.Module):
            def __init__(self, config):
                super().__init__()
                self.use_pos_emb = False
                self.gla = GatedLinearAttention(hidden_size=config.n_embd, num_heads=config.n_head)
                self.delta = DeltaNet(hidden_size=config.n_embd, num_heads=config.n_head)
                self.mix = nn.Parameter(torch.zeros(1))

            def forward(self, x):
                share = torch.sigmoid(self.mix)
                return share * self.gla(x)[0] + (1 - share) * self.delta(x)[0]
        """,
    "triton kernel behind an autograd function": """
        import triton
        import triton.language as tl
        from torch.autograd import Function


        @triton.autotune([triton.Config({"BLOCK": b}, num_warps=w) for b in (64, 128) for w in (2, 4)], key=["T"])
        @triton.jit
        def scan_kernel(x_ptr, y_ptr, T, stride, BLOCK: tl.constexpr):
            row = tl.program_id(0)
            total = tl.zeros([BLOCK], dtype=tl.float32)
            for start in range(0, T, BLOCK):
                place = start + tl.arange(0, BLOCK)
                x = tl.load(x_ptr + row * stride + place, mask=place < T, other=0.0)
                total += x
                tl.store(y_ptr + row * stride + place, total.to(y_ptr.dtype.element_ty), mask=place < T)


        class Scan(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                y = torch.empty_like(x)
                grid = lambda meta: (x.shape[0],)
                scan_kernel[grid](x, y, x.shape[-1], x.stride(0))
                return y

            @staticmethod
            def backward(ctx, grad):
                (x,) = ctx.saved_tensors
                return grad.flip(-1).cumsum(-1).flip(-1)


        class CausalSelfAttention(nn.Module):
            def __init__(self, config):
                super().__init__()
                self.register_buffer("decay", torch.linspace(0.9, 0.99, config.n_head), persistent=False)

            def forward(self, x):
                return Scan.apply(x) if x.is_cuda else x.cumsum(1)
        """,
    "einops, compiled functions, dataclass and typing": """
        import math
        import warnings
        from collections import OrderedDict, namedtuple
        from dataclasses import dataclass, field
        from functools import lru_cache, partial, reduce
        from itertools import chain
        from typing import NamedTuple, Optional, Tuple

        import einops
        from einops import rearrange, repeat
        from einops.layers.torch import Rearrange

        warnings.filterwarnings("ignore", category=UserWarning)


        @dataclass
        class Settings:
            open: int = 4
            compile: bool = True
            signal: float = 1.0
            widths: list = field(default_factory=list)


        @torch.compile(dynamic=False)
        def mix(q: torch.Tensor, k: torch.Tensor, eps: Optional[float] = 1e-6) -> torch.Tensor:
            return torch.einsum("bhtd,bhsd->bhts", q, k).tril() / (q.shape[-1] ** 0.5 + eps)


        class CausalSelfAttention(nn.Module):
            layers_made = 0

            def __init__(self, config, settings: Settings = Settings()):
                super().__init__()
                CausalSelfAttention.layers_made += 1
                self.layer_idx = type(self).layers_made
                self.input, self.time, self.open = nn.Linear(config.n_embd, config.n_embd), nn.Identity(), settings.open
                self.activation = getattr(F, "silu")
                self.f_code, self.f_back = nn.Identity(), nn.Identity()
                self.memmap = self.f_code(self.f_back)
                for name in ("q", "k", "v"):
                    setattr(self, f"{name}_proj", nn.Linear(config.n_embd, config.n_embd, bias=config.bias))
                self.q_proj.register_forward_hook(lambda module, args, out: out)
                self.q_proj.weight.register_hook(lambda grad: grad)
                self.norms = nn.ModuleDict(OrderedDict(a=nn.LayerNorm(config.n_embd)))
                self.__dict__["cache"] = {}
                object.__setattr__(self, "tag", 1)

            def forward(self, x, **kwargs):
                signal = torch.fft.rfft(x.float(), dim=1)
                time = signal.real
                os = [part for part in x.chunk(2, dim=-1)]
                maps = self.q_proj, self.k_proj, self.v_proj
                q, k, v = (rearrange(project(x), "b t (h d) -> b h t d", h=4) for project in maps)
                y = mix(q, k) @ v
                vars(self)["last"] = locals().get("y")
                if kwargs.get("inspect", False) and self.training:
                    print(f"{self.__class__.__name__} {time.shape} {os[0].shape} {math.pi:.2f}", file=sys.stderr)
                with torch.no_grad(), torch.autocast("cuda", enabled=False):
                    scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
                select = torch.select(x, 1, 0)
                return rearrange(y, "b h t d -> b t (h d)") + 0 * scale + 0 * select[:, None]
        """,
    "checkpointing, generators, custom operators and settings by name": """
        import inspect
        from contextlib import nullcontext

        from packaging import version
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention
        from torch.utils.checkpoint import checkpoint

        try:
            from causal_conv1d import causal_conv1d_fn
        except (ImportError, ModuleNotFoundError):
            causal_conv1d_fn = None

        RECENT = version.parse(torch.__version__.split("+")[0]) >= version.parse("2.5")
        TAKES_SCALE = "scale" in inspect.signature(F.scaled_dot_product_attention).parameters


        @torch.library.custom_op("mine::decay", mutates_args=())
        def decay(x: torch.Tensor) -> torch.Tensor:
            return x * 0.5


        @decay.register_fake
        def _(x):
            return torch.empty_like(x)


        class CausalSelfAttention(nn.Module):
            def __init__(self, config):
                super().__init__()
                generator = torch.Generator().manual_seed(0)
                self.register_buffer("features", torch.randn(16, config.n_embd, generator=generator))
                self.dtype = getattr(torch, "bfloat16")
                self.use_pos_emb = not RECENT
                with nullcontext():
                    nn.init.orthogonal_(self.features)

            def extra_repr(self):
                return f"{self.features.shape}"

            def inner(self, x):
                match x.dim():
                    case 3:
                        return x.cumsum(1)
                    case _:
                        return x

            def forward(self, x):
                rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
                try:
                    return checkpoint(self.inner, x, use_reentrant=False) + 0 * rank
                except RuntimeError as error:
                    raise RuntimeError(f"{type(error).__name__}: {error}") from error
        """,
    "helpers that are given functions, classes and texts": """
        import dataclasses
        import functools
        from typing import Annotated, Callable, Dict, Literal, Optional, Union

        ACTIVATIONS: Dict[str, Callable] = {"relu": F.relu, "silu": F.silu, "elu": lambda x: F.elu(x) + 1}
        HAS_RMS = hasattr(F, "rms_norm") and hasattr(torch, "compile")
        for library in (torch, np):
            print(f"{library.__version__!r:>10}", file=sys.stderr)


        @dataclasses.dataclass(frozen=True)
        class Settings:
            norm: Callable = nn.LayerNorm
            mode: Literal["eval", "open", "exec"] = "eval"
            note: Annotated[str, "the gate (a sigmoid)"] = "reads {name.load} and {0.__class__.__name__}"
            cell: "Optional[Settings]" = None


        def build(kind, *args, **kwargs):
            return kind(*args, **kwargs)


        def init(module, gain=1.0):
            if isinstance(module, (nn.Linear, MLP)) or type(module) is nn.Embedding:
                module.weight.data.mul_(gain)
                module.bias = None
                module.reset_parameters = lambda: None
                setattr(module, "is_scaled", True)


        def swap(module):
            module.forward = torch.compile(module.forward)
            return module


        def counted(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                wrapper.calls += 1
                return function(*args, **kwargs)

            wrapper.calls = 0
            wrapper.__doc__ = "counts"
            return wrapper


        class Mix(torch.autograd.Function):
            @staticmethod
            def forward(ctx, q, k, scale: "Optional[float]" = None):
                ctx.scale = scale
                ctx.save_for_backward(q, k)
                return q * k

            @staticmethod
            @torch.autograd.function.once_differentiable
            def backward(ctx, grad):
                q, k = ctx.saved_tensors
                return grad * k, grad * q, None


        class CausalSelfAttention(nn.Module):
            norm_class = nn.LayerNorm
            activation = staticmethod(F.silu)

            def __init__(self, config):
                super().__init__()
                self.use_pos_emb = False
                self.settings = Settings()
                self.norm = self.settings.norm(config.n_embd)
                self.norm_q = self.norm_class(config.n_embd)
                self.proj = build(nn.Linear, config.n_embd, config.n_embd, bias=config.bias)
                self.gate = swap(nn.Linear(config.n_embd, config.n_embd))
                self.activations = dict(ACTIVATIONS)
                self.act = ACTIVATIONS.get("silu", F.gelu)
                self.dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}["fp32"]
                self.norm.weight.data = self.norm.weight.data.to(self.dtype)
                self.norm.bias = None
                self.layers = nn.ModuleList([nn.Linear(config.n_embd, config.n_embd) for _ in range(2)])
                for layer in self.layers:
                    layer.forward = counted(layer.forward)
                self.apply(init)
                self.apply(functools.partial(init, gain=0.5))
                self._caches = [torch.zeros(1)]
                self._caches.append(torch.ones(1))

            @property
            def width(self):
                return self.proj.weight.shape[0]

            def load(self, x):
                return x

            def forward(self, x, mask: "Union[torch.Tensor, None]" = None):
                with torch.autograd.graph.saved_tensors_hooks(lambda t: t.half(), lambda t: t.float()):
                    y = Mix.apply(self.act(self.proj(x)), self.norm(x))
                y, state = (y, mask) if mask is not None else (y[..., : self.width], None)
                y = functools.reduce(torch.add, [y, self.load(x)])
                np.testing.assert_allclose(1.0, 1.0)
                if torch._dynamo.is_compiling() or torch.compiler.is_compiling():
                    return y
                return torch._foreach_mul([y], 1.0)[0] + torch.utils._pytree.tree_map(lambda t: 0 * t, y)
        """,
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_passes_without_a_word(name: str, scripted: Scripted, linear_task: LoadedTask) -> None:
    """Code in the manner of published agents passes every guard of the task, and nothing is said about it."""
    assert check(scripted("whole", HONEST[name]), {}, linear_task.task.policy) == ()


@pytest.mark.parametrize(
    "file", sorted(templates_dir().glob("[ae]*/*.py")), ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def test_every_drop_in_mechanism_passes_without_a_word(file: Path) -> None:
    """The library's own mechanisms pass all guards of the task whose region they replace."""
    tasks = {"attention": "llm-pretrain-linear-attention", "embedding": "llm-pretrain-embedding"}
    loaded = load_task(tasks[file.parent.name])
    original = Document.original(Frame(loaded.task.file, loaded.task.regions, loaded.template))
    document = original.with_content(0, file.read_text(encoding="utf-8"))
    assert check(document, loaded.task.overrides, loaded.task.policy) == ()
