"""What a task.yaml may say: one frozen struct a part, each checking what can be checked without its task folder."""

import math
import re
from pathlib import PurePosixPath
from typing import Any, Literal

from msgspec import Struct

from sandbox.schema import OverrideKey, Region


def _require(holds: object, message: str) -> None:
    """Raise ValueError unless `holds`; msgspec adds the path in the file."""
    if not holds:
        raise ValueError(message)


class Metric(Struct, frozen=True, forbid_unknown_fields=True):
    """A number that a test is scored by."""

    name: str
    """As in the published results, without the profile: `val_loss`."""
    direction: Literal["min", "max"]
    """Which way is better."""
    primary: bool = False
    """The one that ranks the leaderboard."""
    ranks_at: tuple[str, ...] = ()
    """Profiles at which this one ranks instead of the primary one."""
    hidden: bool = False
    """Withheld from every reply until the session is submitted."""
    bound: float | None = None
    """What no model can beat: 0 for a loss, 1 for a perplexity or an accuracy. The normalised score is 1 there; None
    means unknown, and no such score."""
    about: str = ""
    """What it measures, and its unit."""

    def __post_init__(self) -> None:
        _require(self.bound is None or math.isfinite(self.bound), f"bound is {self.bound}, but must be finite")
        _require(re.fullmatch(r"[a-z][a-z0-9_]*", self.name), f"name {self.name!r} is not lower_case_with_underscores")


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """How much a session may do."""

    tests: int = 3
    """Training runs in agent mode; vanilla mode always has one."""
    actions: int | None = None
    """Edits, undos and redos; None means unlimited."""

    def __post_init__(self) -> None:
        _require(self.tests >= 1, f"tests is {self.tests}, but must be at least 1")
        _require(
            self.actions is None or self.actions >= 1, f"actions is {self.actions}, but must be at least 1 or null"
        )


class Profiles(Struct, frozen=True, forbid_unknown_fields=True):
    """Which sizes of training run the task allows, by the names of the harness's profiles."""

    cpu: str = "smoke"
    """The default on a machine without CUDA."""
    cuda: str = "gpt-345m"
    """The default on a machine with CUDA."""
    allowed: tuple[str, ...] = ()
    """Names that `--profile` accepts; empty means every profile."""
    adjust: dict[str, dict[str, Any]] = {}
    """By profile: the values of the run config that this task changes."""

    def __post_init__(self) -> None:
        named = {"cpu": self.cpu, "cuda": self.cuda, **{f"adjust.{name}": name for name in self.adjust}}
        for field, name in named.items():
            listed = ", ".join(self.allowed)
            _require(not self.allowed or name in self.allowed, f"{field}: {name!r} is not in allowed ({listed})")


class Constraints(Struct, frozen=True, forbid_unknown_fields=True):
    """What the edited model must be, beyond running."""

    causal: bool = True
    """No logit may depend on a later token."""
    subquadratic: bool = False
    """Time and memory must grow more slowly than the square of the sequence length."""
    exponent_ceiling: float | None = None
    """The largest power of the sequence length that cost may grow with; None means off."""
    parameter_ceiling: float | None = None
    """Parameters at most, as a multiple of the task's largest baseline at the same profile; None means off."""
    loss_floor: dict[str, float] = {}
    """By profile: the validation loss, in nats a token, below which a score is no longer taken for learning."""

    def __post_init__(self) -> None:
        ceilings = {"exponent_ceiling": self.exponent_ceiling, "parameter_ceiling": self.parameter_ceiling}
        floors = {f"loss_floor.{profile}": value for profile, value in self.loss_floor.items()}
        for name, value in {**ceilings, **floors}.items():
            _require(value is None or value > 0, f"{name} is {value}, but must be a positive number or null")
        _require(self.subquadratic or self.exponent_ceiling is None, "exponent_ceiling needs subquadratic: true")

    def floor(self, profile: str) -> float | None:
        """The lowest validation loss that is believed at a profile; None means any."""
        return self.loss_floor.get(profile)


PURE_MODULES = (
    *("__future__", "abc", "array", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses", "decimal"),
    *("enum", "fractions", "functools", "heapq", "itertools", "json", "logging", "math", "numbers", "operator", "re"),
    *("statistics", "string", "textwrap", "types", "typing", "typing_extensions", "warnings", "weakref"),
)
"""Modules that compute and reach nothing."""
MODEL_MODULES = (
    *("torch", "triton", "fla", "einops", "numpy", "opt_einsum", "packaging"),
    *("causal_conv1d", "flash_attn", "mamba_ssm", "xformers"),
)
"""Modules that models are written with; the last ones are tried for behind `except ImportError`."""
SETTABLE_VARIABLES = (
    *("TRITON_CACHE_DIR", "TRITON_HOME", "TRITON_CACHE_AUTOTUNING", "TRITON_PRINT_AUTOTUNING", "TRITON_F32_DEFAULT"),
    *("TRITON_DEFAULT_FP_FUSION", "TRITON_DISABLE_LINE_INFO", "TRITON_ALWAYS_COMPILE", "TORCHINDUCTOR_CACHE_DIR"),
    *("TORCHINDUCTOR_FX_GRAPH_CACHE", "TORCHINDUCTOR_MAX_AUTOTUNE", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"),
    *("FLA_USE_FAST_OPS", "FLA_USE_TMA", "FLA_CONV_BACKEND", "FLA_TRIL_PRECISION", "FLA_CACHE_RESULTS"),
    *("TOKENIZERS_PARALLELISM",),
)
"""Environment variables of kernel caches and allocators, which published agents were seen to set."""


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """What code in the regions may reach. What the template's own regions do stays allowed.

    Names are dotted, whatever the code calls them: "torch.fft.rfft", "builtins.open" for what Python itself provides,
    "__main__.Training" for what the read-only script defines. The longest name that fits decides.
    """

    imports: tuple[str, ...] = (*PURE_MODULES, *MODEL_MODULES)
    """Modules that may be imported, with what is below them; those of the read-only script may be used as well."""
    allow: tuple[str, ...] = ()
    """Names that would otherwise be refused or warned of."""
    refuse: tuple[str, ...] = ()
    """Names that would otherwise be allowed."""
    warn: tuple[str, ...] = ()
    """Names whose use is allowed and recorded on the leaderboard's row."""
    environment: tuple[str, ...] = SETTABLE_VARIABLES
    """Environment variables that may be set, which is recorded too."""

    def __post_init__(self) -> None:
        for field in ("imports", "allow", "refuse", "warn"):
            for name in getattr(self, field):
                _require(
                    all(part.isidentifier() for part in name.split(".")), f"{field}: {name!r} is not a dotted name"
                )


class Baseline(Struct, frozen=True, forbid_unknown_fields=True):
    """A known method that the task is measured against."""

    name: str
    """As in the published results."""
    file: str
    """What replaces the region: in the task's baselines/ folder, else in templates/."""


class Published(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the rows of published.csv come from."""

    source: str
    """Who published them, and when."""
    profile: str
    """The profile that they were trained at."""
    seed: int | None = None
    """The seed that they were trained with; None means unknown."""


class Task(Struct, frozen=True, forbid_unknown_fields=True):
    """One research question: a script, the lines of it that may change, and how the result is measured."""

    id: str
    """Letters, digits, dots, dashes and underscores; the folder's name for a task that ships."""
    template: str
    """File name of the untouched script: in the task folder, else in templates/."""
    file: str
    """The script's name as agents see it: `nanoGPT/custom_pretrain.py`."""
    regions: tuple[Region, ...]
    """The line ranges of the template that may change, from top to bottom."""
    title: str = ""
    """One line for lists."""
    interface: str = ""
    """What an edit must keep, for agents."""
    overrides: dict[str, OverrideKey] = {}
    """Keys that CONFIG_OVERRIDES may set."""
    budget: Budget = Budget()
    """How much a session may do."""
    seeds: tuple[int, ...] = (42,)
    """A test trains each of them; in vanilla mode the first alone."""
    profiles: Profiles = Profiles()
    """Which sizes of training run are allowed."""
    metrics: tuple[Metric, ...] = (Metric("val_loss", "min", primary=True),)
    """What a test is scored by, in the order of the leaderboard's columns."""
    constraints: Constraints = Constraints()
    """What the edited model must be."""
    policy: Policy | None = Policy()
    """What code in the regions may reach; null means anything."""
    baselines: tuple[Baseline, ...] = ()
    """Known methods that the task is measured against."""
    published: Published | None = None
    """Where the rows of published.csv come from; None where there is no such file."""

    def __post_init__(self) -> None:
        _require(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.id), f"id {self.id!r} is not a plain name")
        _require(PurePosixPath(self.file).name and self.file.isprintable(), f"file {self.file!r} is not a file name")
        _require(self.template and self.template.isprintable(), f"template {self.template!r} is not a file name")
        _require(self.regions, "regions is empty: nothing could be edited")
        _require(self.seeds, "seeds is empty: give at least one")
        _require(len(set(self.seeds)) == len(self.seeds), f"seeds: {list(self.seeds)} names one twice")
        _require(all(0 <= seed < 2**32 for seed in self.seeds), f"seeds: {list(self.seeds)} is not from 0 to 2**32 - 1")
        for kind, names in (
            ("regions", [region.name for region in self.regions]),
            ("metrics", [metric.name for metric in self.metrics]),
            ("baselines", [baseline.name for baseline in self.baselines]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            _require(not twice, f"{kind}: the name {', '.join(twice)} is used twice")
        primaries = sum(metric.primary for metric in self.metrics)
        _require(primaries == 1, f"metrics: {primaries} are primary, but exactly one must be")
        places = [profile for metric in self.metrics for profile in metric.ranks_at]
        _require(len(set(places)) == len(places), f"metrics: two of them rank at one of {', '.join(places)}")
        kinds = [region.kind for region in self.regions]
        _require(kinds.count("overrides") <= 1, "regions: more than one is of kind overrides")
        _require(not self.overrides or "overrides" in kinds, "overrides needs a region of kind overrides")

    @property
    def primary(self) -> Metric:
        """The metric that ranks the leaderboard."""
        return next(metric for metric in self.metrics if metric.primary)

    def ranking(self, profile: str) -> Metric:
        """The metric that ranks the results at a profile: its own, else the primary one."""
        return next((metric for metric in self.metrics if profile in metric.ranks_at), self.primary)
