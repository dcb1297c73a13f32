"""What is worth knowing is warned of, and the edit passes."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.guards import check
from sandbox.tasks import LoadedTask

Scripted = Callable[..., Document]

WARNED = {
    "Triton's cache": (
        "head",
        """
        import os
        os.environ.setdefault("TRITON_CACHE_DIR", "/tmp/triton")
        os.environ["TRITON_PRINT_AUTOTUNING"] = "1"
        """,
        ["environment setting", "environment setting"],
    ),
    "Triton's cache, one a process": (
        "head",
        """
        import os
        import tempfile
        cache = os.path.join(tempfile.gettempdir(), f"triton_{os.getpid()}_{os.environ.get('LOCAL_RANK', '0')}")
        os.makedirs(cache, exist_ok=True)
        os.environ["TRITON_CACHE_DIR"] = cache
        """,
        ["folder", "environment read", "folder", "environment setting"],
    ),
    "settings of torch": (
        "head",
        "torch.backends.cuda.matmul.allow_tf32 = True\ntorch._dynamo.config.cache_size_limit = 64",
        ["setting", "setting"],
    ),
    "a seed": ("init", "torch.manual_seed(0)", ["seed"]),
    "the clock": ("forward", "began = time.perf_counter()", ["clock"]),
    "a name known only when it runs": ("init", "self.act = getattr(F, config.activation)", ["indirect name"]),
    "a hook on what may be another's": ("init", "config.model.register_forward_hook(print)", ["hook"]),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_is_worth_knowing_is_warned_of(name: str, scripted: Scripted, linear_task: LoadedTask) -> None:
    """The edit passes; each warning names its line and its rule, in the order of the lines."""
    place, code, rules = WARNED[name]
    document = scripted(place, code)
    warnings = check(document, {}, linear_task.task.policy)
    assert [warning.rpartition("(")[2].rstrip(")") for warning in warnings] == rules
    numbers = [int(warning.split(",")[0].removeprefix("line ")) for warning in warnings]
    assert numbers == sorted(numbers)
    assert all(number in document.ranges[0] for number in numbers)
