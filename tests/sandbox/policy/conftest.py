"""A script of the linear-attention task with code of an agent in it, and a shorter one that parses in no time."""

import textwrap
from collections.abc import Callable

import pytest

from sandbox.document import Document, Frame
from sandbox.errors import PolicyRefused
from sandbox.guards import check
from sandbox.tasks import LoadedTask, load_task

ATTENTION = """\
# --- Causal self-attention ---
{head}


class CausalSelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.use_pos_emb = False
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
{init}

    def forward(self, x):
{forward}
        return self.c_proj(x)
"""


@pytest.fixture(scope="session")
def linear_task() -> LoadedTask:
    """The shipped task whose regions are the attention, the block and the overrides."""
    return load_task("llm-pretrain-linear-attention")


@pytest.fixture(scope="session")
def template(linear_task: LoadedTask) -> Document:
    """Its untouched script."""
    return Document.original(Frame(linear_task.task.file, linear_task.task.regions, linear_task.template))


@pytest.fixture(scope="session")
def short(template: Document) -> Document:
    """The task's script down to the attention, and behind that only the names of what follows."""
    region = template.frame.regions[0]
    names = ("MLP", "GPT", "TokenWindows", "MetricsFile", "Training")
    behind = "".join(f"\n\nclass {name}(nn.Module):\n    pass\n" for name in names)
    text = "".join(template.lines[: region.last]) + behind
    return Document.original(Frame(template.frame.file, (region,), text))


@pytest.fixture
def scripted(short: Document) -> Callable[..., Document]:
    """Puts code into the attention region: at its head, in its `init` or its `forward`; or `whole` in its place.

    By default into the short script.
    """

    def make(place: str, code: str, template: Document = short) -> Document:
        code = textwrap.dedent(code).strip("\n")
        if place == "whole":
            return template.with_content(0, f"{code}\n")
        inside = {name: textwrap.indent(code if name == place else "pass", " " * 8) for name in ("init", "forward")}
        return template.with_content(0, ATTENTION.format(head=code if place == "head" else "", **inside))

    return make


@pytest.fixture
def assert_refused(scripted: Callable[..., Document], linear_task: LoadedTask) -> Callable[[str, str, str], None]:
    """Asserts that code at a place is refused at a line of its region, with the rule among those that are named."""

    def judge(rule: str, place: str, code: str) -> None:
        document = scripted(place, code)
        assert linear_task.task.policy is not None
        with pytest.raises(PolicyRefused) as refused:
            check(document, {}, linear_task.task.policy)
        assert refused.value.line in document.ranges[0]
        assert f"{rule})" in refused.value.message

    return judge
