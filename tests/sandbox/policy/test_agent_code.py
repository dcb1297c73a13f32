"""Only what stands in regions is read, wherever a region lies."""

import ast
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import libcst as cst
import pytest
from libcst import matchers

from sandbox.document import Document, Frame
from sandbox.guards import check
from sandbox.guards.parse import parse
from sandbox.guards.script import Script
from sandbox.policy.agent_code import agent_code, module_scope
from sandbox.schema import Region
from sandbox.syntax import syntax_tree
from sandbox.task_schema import Policy

Framed = Callable[..., Document]

MIXED = """\
import os
class Frozen:
    a = os.system("frozen")
    #[ member
    b = 1
    #]
    def run(self, x):
        if os.system("frozen"):
            os.system("frozen")
        #[ branch
        elif x:
            y = 2
        #]
        else:
            y = 3
        try:
            os.system("frozen")
        #[ handler
        except ValueError:
            y = 4
        #]
        finally:
            os.system("frozen")
        match x:
            case 1:
                os.system("frozen")
            #[ case
            case 2:
                y = 5
            #]
        with open("frozen") as file:
            #[ body
            y = 6
            #]
            os.system("frozen")
        return os.system("frozen")
"""


def read(document: Document) -> str:
    """The code that counts as the agent's, on one line."""
    script = parse(document)
    module = script.concrete
    return "|".join(
        " ".join(module.code_for_node(node).split()) for node, _ in agent_code(script, module_scope(script))
    )


def test_statements_of_regions_are_read_and_frozen_ones_are_not(framed: Framed) -> None:
    """Regions inside classes, functions, branches, handlers, cases and with blocks give their own statements."""
    assert read(framed(MIXED)) == "b = 1|x|y = 2|except ValueError: y = 4|case 2: y = 5|y = 6"


def test_the_head_of_a_statement_that_goes_on_frozen_is_read(framed: Framed) -> None:
    """Where a region ends inside a class, its decorators and bases are the agent's, its frozen body is not."""
    document = framed("import os\n#[ head\n@print\nclass A(object):\n    x = 1\n#]\n    y = os.kill\n")
    assert sorted(read(document).split("|")) == ["@print", "object", "x = 1"]


@pytest.mark.parametrize("region", range(5))
def test_what_is_added_in_any_such_place_is_found(framed: Framed, region: int) -> None:
    """A policy refuses os.system in every region of a frozen class, with the line that it stands in."""
    document = framed(MIXED)
    content = document.contents[region]
    indent = content.split("\n")[-2][: len(content.split("\n")[-2]) - len(content.split("\n")[-2].lstrip())]
    changed = document.with_content(region, f"{content}{indent}os.system('mine')\n")
    assert check(document, {}, Policy()) == ()
    with pytest.raises(Exception, match=rf"refuses line {changed.ranges[region].last}, .*os.system starts"):
        check(changed, {}, Policy())


FILES = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[::25]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_both_trees_of_any_script_hold_the_same_statements(file: Path) -> None:
    """On real code the walk beside the compiler's tree keeps step, and reads every import of a region, no other."""
    text = file.read_text(encoding="utf-8")
    try:
        cst.parse_module(text)
    except cst.ParserSyntaxError:
        pytest.skip(f"libcst does not read {file.name} of Python {sys.version_info[:2]}")
    lines = text.count("\n")
    regions = tuple(Region(str(n), n * lines // 7 + 1, n * lines // 7 + lines // 14 + 1) for n in range(7))
    script = Script(Document.original(Frame("x.py", regions, text)), syntax_tree(text))
    nodes = [node for node, _ in agent_code(script, module_scope(script))]
    imports = [found for node in nodes for found in matchers.findall(node, matchers.Import() | matchers.ImportFrom())]
    expected = [
        node
        for node in ast.walk(script.tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and not script.is_frozen(node.lineno)
    ]
    assert len(imports) == len(expected)
