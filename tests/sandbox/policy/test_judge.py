"""What a task's own policy changes, and that only what an agent added counts."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.document import Document
from sandbox.errors import EditRefused, PolicyRefused, TaskError
from sandbox.guards import check
from sandbox.strict_yaml import decode_yaml
from sandbox.task_schema import Policy

Framed = Callable[..., Document]

LIBRARY = """\
import csv
import requests
from os import path
#[ reader
import sqlite3
def read(name):
    with open(name) as file:
        return list(csv.reader(file))
#]
print(read(path.join("a", "b")))
"""


def test_what_the_template_itself_does_stays_allowed(framed: Framed) -> None:
    """A user's script that opens files and imports what it needs can be edited; something new of that kind cannot."""
    document = framed(LIBRARY)
    assert check(document, {}, Policy()) == ()
    content = "import sqlite3, sqlite3.dbapi2\ndef read(name):\n    file = open(name + '.csv')\n    return [*file]\n"
    assert check(document.with_content(0, content), {}, Policy()) == ()
    with pytest.raises(PolicyRefused, match=r"line 5, column 1: subprocess starts"):
        check(document.with_content(0, f"import sqlite3\nimport subprocess\n{content}"), {}, Policy())


def test_modules_of_the_read_only_script_may_be_used(framed: Framed) -> None:
    """What the script imports is at hand without being on the list; what a rule is about stays refused."""
    document = framed("import sympy\nfrom os import kill\n#[ a\nx = 1\n#]\nprint(x)\n")
    assert check(document.with_content(0, "x = sympy.sqrt(2)\nimport sympy.core\n"), {}, Policy()) == ()
    with pytest.raises(PolicyRefused, match=r"os\.kill"):
        check(document.with_content(0, "x = kill(1, 9)\n"), {}, Policy())


@pytest.mark.parametrize(
    ("policy", "content", "refused"),
    [
        (Policy(), "import sklearn.svm", "import"),
        (Policy(imports=("sklearn",)), "import sklearn.svm", None),
        (Policy(imports=("sklearn",)), "import sklearn.svm as s\ny = s.SVC()", None),
        (Policy(imports=("sklearn",)), "import torch", "import"),
        (Policy(imports=("torch.nn",)), "import torch.nn as nn\ny = nn.Linear", None),
        (Policy(imports=("torch.nn",)), "import torch\ny = torch.randn(3)", "import"),
        (Policy(imports=("os",)), "import os\ny = os.listdir()", None),
        (Policy(imports=("os",)), "import os\ny = os.kill(1, 9)", "process"),
        (Policy(allow=("os.kill",)), "import os\ny = os.kill(1, 9)", None),
        (Policy(allow=("builtins.open",)), "y = open('a')", None),
        (Policy(allow=("torch.load",)), "import torch\ny = torch.load('a')", None),
        (Policy(allow=("numpy.memmap",)), "import numpy as np\nfrom numpy import memmap\ny = np.memmap('a')", None),
        (Policy(allow=("numpy.memmap",)), "import numpy as np\ny = np.fromfile('a')", "file"),
        (Policy(refuse=("math.pi",)), "import math\ny = math.pi", "task"),
        (Policy(refuse=("math.pi",)), "import math\ny = math.tau", None),
        (Policy(refuse=("__main__.helper",)), "y = helper()", "task"),
        (Policy(environment=("A",)), "import os\nos.environ['A'] = 'b'", None),
        (Policy(environment=()), "import os\nos.environ['TRITON_CACHE_DIR'] = 'b'", "environment"),
    ],
)
def test_a_task_says_what_its_code_may_reach(framed: Framed, policy: Policy, content: str, refused: str | None) -> None:
    """The lists of task.yaml decide; the longest name that fits has the say."""
    document = framed("def helper(): ...\n#[ a\nx = 1\n#]\n").with_content(0, f"{content}\n")
    if refused is None:
        check(document, {}, policy)
    else:
        with pytest.raises(PolicyRefused, match=rf"\({refused}\)\."):
            check(document, {}, policy)


def test_the_policy_that_the_documentation_shows_is_a_lawful_one() -> None:
    """The example of docs/policy.md decodes, and says what the text says of it."""
    page = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    example = re.search(r"\n    policy:\n((?:      .*\n)+)", page)
    assert example is not None
    policy = decode_yaml(textwrap.dedent(example[1]), Policy, Path("task.yaml"))
    assert (policy.imports, policy.refuse) == (("torch", "einops", "math"), ("torch.fft", "__main__.Training"))


def test_a_name_that_cannot_be_one_is_refused() -> None:
    """A task.yaml with a path in the place of a dotted name is told so."""
    with pytest.raises(TaskError, match=r"imports: 'torch/nn' is not a dotted name"):
        decode_yaml("imports: [torch/nn]", Policy, Path("task.yaml"))


def test_a_task_may_want_to_know_of_a_name(framed: Framed) -> None:
    """Names under `warn` pass with a warning."""
    document = framed("#[ a\nx = 1\n#]\n").with_content(0, "import math\ny = math.pi\n")
    assert check(document, {}, Policy(warn=("math.pi",))) == (
        "line 2, column 5: math.pi is what this task wants to know about (task warning)",
    )


def test_without_a_policy_everything_passes(framed: Framed) -> None:
    """policy=None switches the fence off; the other guards stay."""
    document = framed("#[ a\nx = 1\n#]\nprint(x)\n")
    assert check(document.with_content(0, "import subprocess\nx = 1\n"), {}, None) == ()
    with pytest.raises(EditRefused, match="would not parse"):
        check(document.with_content(0, "x = (\n"), {}, None)


def test_many_findings_are_named_up_to_a_number(framed: Framed) -> None:
    """The first is shown, five more are named, the rest are counted; the same name on one line counts once."""
    content = "".join(f"x = open('{n}'), open('b')\n" for n in range(9))
    with pytest.raises(PolicyRefused, match=r"line 1, column 5: open (?s:.*)Also refused: open \(line 2, file\)") as e:
        check(framed("#[ a\nx = 1\n#]\n").with_content(0, content), {}, Policy())
    assert e.value.message.endswith("open (line 6, file), and 3 more.")
