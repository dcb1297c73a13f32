"""Every frozen statement stays the same node, whatever a region opens, and lawful edits pass."""

from collections.abc import Callable, Iterator, Mapping

import libcst
import pytest
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider

from sandbox.document import Document
from sandbox.errors import EditRefused
from sandbox.guards import check

Framed = Callable[..., Document]

MODULE = '''\
"""A script."""
import math
#[ a
def first():
    return 1
#]
# a frozen comment
def between(x):
    """Doubles."""
    return 2 * x
#[ b
def second():
    return 2
#]
class Kept:
    """Its docstring."""

    def method(self):
        return between(first())
'''

FUNCTION = """\
def run(x):
    y = x
    #[ a
    y = y + 1
    #]
    for _ in range(2):
        y = y * 2
    return y


def other():
    return 3
"""

CLASS = """\
class Model:
    def first(self):
        return 1

    #[ a
    def middle(self):
        return 2
    #]
    def last(self):
        return 3
"""

BRANCH = """\
def run(x):
    if x:
        #[ a
        y = 1
        #]
    else:
        y = 2
    return y
"""

TAIL = """\
def run(x):
    y = x
    #[ a
    return y
    #]
def other():
    return 3
"""

DICT = """\
SETTINGS = {
    "one": 1,
    #[ a
    "two": 2,
    #]
    # a frozen comment
    "three": 3,
}
print(SETTINGS)
"""

CALL = """\
value = dict(
    one=1,
#[ a
    two=2,
#]
)
"""


@pytest.mark.parametrize(
    ("template", "content"),
    [
        pytest.param(MODULE, 'x = """\n', id="an open string that frozen code's docstring closes"),
        pytest.param(MODULE, "x = '''\n", id="an open string that nothing closes"),
        pytest.param(MODULE, "x = 1 + \\\n", id="a continuation into a frozen line"),
        pytest.param(MODULE, "x = 1; \\\n", id="a continuation that joins two statements"),
        pytest.param(MODULE, "x = 1 \\\n", id="a continuation into a frozen comment"),
        pytest.param(MODULE, "import functools\n@functools.cache\n", id="a trailing decorator"),
        pytest.param(MODULE, "if True:\n", id="a header without a block"),
        pytest.param(MODULE, "x = (\n", id="an open bracket"),
        pytest.param(MODULE, "f'''{\n", id="an open f-string"),
        pytest.param(MODULE, "x = f'{1!\n", id="a broken f-string"),
        pytest.param(MODULE, "    pass\n", id="a block for the frozen code before"),
        pytest.param(FUNCTION, "    if True:\n", id="a header at the level of frozen code"),
        pytest.param(FUNCTION, "    y = 1\nz = 2\n", id="a dedent that ends the frozen function"),
        pytest.param(FUNCTION, "    y = 1\ndef inner(x, y):\n", id="a function that takes the rest over"),
        pytest.param(FUNCTION, "    pass; \\\n", id="a continuation inside a function"),
        pytest.param(FUNCTION, "  y = 1\n", id="a dedent by half"),
        pytest.param(CLASS, "class Other:\n", id="a class that takes a frozen method over"),
        pytest.param(CLASS, "    @staticmethod\n", id="a decorator for a frozen method"),
        pytest.param(CLASS, "x = 1\nif x:\n", id="an if that takes a frozen method over"),
        pytest.param(CLASS, "    x = 1\n\x0cclass Other:\n", id="a form feed before a class header"),
        pytest.param(BRANCH, "        y = 1\n    if y:\n        y = 3\n", id="an if that takes a frozen else over"),
        pytest.param(BRANCH, "        y = 1\n    elif y:\n        y = 3\n", id="an elif before a frozen else"),
        pytest.param(
            BRANCH, "        y = 1\n    for y in ():\n        pass\n", id="a for that takes a frozen else over"
        ),
        pytest.param(BRANCH, "        y = 1\n    while y:\n        pass\n", id="a while that takes a frozen else over"),
        pytest.param(DICT, '    "two": """\n', id="an open string in a dictionary"),
        pytest.param(DICT, '    "two": [\n', id="an open list in a dictionary"),
        pytest.param(DICT, '    "two": 2,\n}\nOTHER = {\n', id="a dictionary cut in two"),
        pytest.param(DICT, '    "two":\n', id="a key that takes the next line as its value"),
        pytest.param(CALL, "two=2) or dict(\n", id="a call cut in two"),
        pytest.param(CALL, "two=dict(\n", id="an open call"),
    ],
)
def test_capturing_frozen_code_is_refused(framed: Framed, template: str, content: str) -> None:
    """Whatever would swallow, capture or split frozen code is refused."""
    document = framed(template).with_content(0, content)
    with pytest.raises(EditRefused):
        check(document, {})


@pytest.mark.parametrize(
    ("template", "before", "header"),
    [
        ("    #[ a\n    y = 1\n    #]\n        z = 2\n", "", "    if True:\n"),
        ("    #[ a\n    if y:\n    #]\n        z = 2\n", "    y = 1\n", "    while y:\n"),
        ("    #[ a\n    if y:\n    #]\n        z = 2\n", "    y = 1\n", "    def f():\n"),
        ("    #[ a\n    if y:\n    #]\n        z = 2\n", "    y = 1\n", "    if y:\n      if y:\n"),
        ("    #[ a\n    if y:\n    #]\n        z = 2\n", "    y = 1\n", "    try:\n        pass\n    finally:\n"),
    ],
)
def test_a_header_keeps_its_kind(framed: Framed, template: str, before: str, header: str) -> None:
    """Where the template's region opens a frozen block, another kind of header, or another depth, is refused."""
    if "if y" not in template:
        template = template.replace("        z", "    z")
    document = framed(f"def run():\n{before}{template}")
    check(document, {}) if before else None
    with pytest.raises(EditRefused):
        check(document.with_content(0, header), {})


@pytest.mark.parametrize(
    ("template", "content"),
    [
        pytest.param(MODULE, "", id="nothing"),
        pytest.param(MODULE, "# only a comment\n", id="a comment"),
        pytest.param(MODULE, "def first():\n    return 2\n    # the last line is a comment\n", id="a last comment"),
        pytest.param(MODULE, "# ends in a backslash \\\n", id="a comment that ends in a backslash"),
        pytest.param(MODULE, "x = 1;\n", id="a last semicolon"),
        pytest.param(MODULE, "\x0c\nx = 1\n", id="a form feed"),
        pytest.param(MODULE, "import time, os, sys\nimport numpy as np\nimport math\n", id="imports again"),
        pytest.param(MODULE, "class First:\n    def __init__(self):\n        super().__init__()\n", id="a class"),
        pytest.param(
            MODULE, "import functools\n@functools.cache\ndef first():\n    return 4\n", id="a decorated function"
        ),
        pytest.param(MODULE, "def __getattr__(name):\n    raise AttributeError(name)\n", id="a module __getattr__"),
        pytest.param(MODULE, "if True:\n    x = 1\nelse:\n    x = 2\n", id="a whole if"),
        pytest.param(MODULE, 'x = """\n# not a comment\n"""\n', id="a whole string"),
        pytest.param(MODULE, "x = 'λ 😀 \u2028'\n", id="letters beyond ASCII"),
        pytest.param(FUNCTION, "", id="nothing in a function"),
        pytest.param(
            FUNCTION, "    def helper(z):\n        return z\n    y = helper(y)\n", id="a helper in a function"
        ),
        pytest.param(FUNCTION, "    if x:\n        return 0\n", id="a conditional return"),
        pytest.param(
            FUNCTION, "    try:\n        y = 1 / x\n    except ZeroDivisionError:\n        y = 0\n", id="a try"
        ),
        pytest.param(
            CLASS, "    def middle(self):\n        return 5\n    def helper(self):\n        return 6\n", id="methods"
        ),
        pytest.param(CLASS, "", id="no method"),
        pytest.param(
            BRANCH, "        if x > 1:\n            y = 2\n        else:\n            y = 3\n", id="an inner if"
        ),
        pytest.param(TAIL, "    return y\n\n\ndef helper():\n    return 1\n", id="a helper behind a function's tail"),
        pytest.param(TAIL, "", id="no tail"),
        pytest.param(TAIL, "    if y:\n        return y\n", id="another tail"),
        pytest.param(DICT, "", id="no entry"),
        pytest.param(DICT, '    "two": [\n    2,\n    ],\n    "four": 4,  # four\n', id="more entries"),
        pytest.param(DICT, '    **{"two": 2},\n', id="an unpacked entry"),
        pytest.param(CALL, "    two=2, four=[4 for _ in range(3)],\n", id="more arguments"),
    ],
)
def test_lawful_edits_pass(framed: Framed, template: str, content: str) -> None:
    """An edit that leaves frozen code alone is accepted, and libcst finds each frozen statement in the same place."""
    original = framed(template)
    document = original.with_content(0, content)
    check(document, {})
    assert _frozen_statements(original) <= _frozen_statements(document)


def test_a_comment_region_may_extend_its_block(framed: Framed) -> None:
    """Code may replace an indented placeholder comment at the end of a frozen function, and no other one."""
    template = "def run(x):\n    y = x\n{}#[ a\n{}# your code here\n#]\n\ndef other():\n    return 3\n"
    check(framed(template.format("", "    ")).with_content(0, "    return y\n"), {})
    with pytest.raises(EditRefused):
        check(framed(template.format("", "")).with_content(0, "    return y\n"), {})


def test_a_continuation_of_the_template_may_stay(framed: Framed) -> None:
    """Where the template's own region ends in a backslash, an edit may end in one too."""
    document = framed("#[ a\nx = 1 + \\\n#]\n    2\n")
    check(document, {})
    check(document.with_content(0, "x = 3 + \\\n"), {})


def test_a_decorator_that_the_template_left_free_may_go(framed: Framed) -> None:
    """Where the template's region decorates a frozen function, the decorator may be changed or taken out."""
    document = framed("import functools\n#[ a\n@functools.cache\n#]\ndef run():\n    return 1\n")
    check(document.with_content(0, ""), {})
    check(document.with_content(0, "@functools.lru_cache(3)\n"), {})


def test_a_docstring_stays_first(framed: Framed) -> None:
    """A statement that would come before a frozen docstring is refused; a comment is not."""
    document = framed('def run():\n    #[ a\n    # comment\n    #]\n    """Docs."""\n    return 1\n')
    check(document.with_content(0, "    # other\n"), {})
    with pytest.raises(EditRefused, match="docstring"):
        check(document.with_content(0, "    x = 1\n"), {})


def test_the_refusal_names_both_lines(framed: Framed) -> None:
    """A refused capture says where the capturing statement begins and which read-only line it takes in."""
    document = framed("#[ a\nx = 1\n#]\n# frozen comment\n#[ b\ny = 2\n#]\nprint(1)\n")
    document = document.with_content(0, 'x = """\n').with_content(1, '"""\n')
    with pytest.raises(EditRefused, match=r"begins at line 1 would take in the read-only line 2") as refusal:
        check(document, {})
    assert (refusal.value.line, refusal.value.column) == (1, 1)


def _frozen_statements(document: Document) -> set[tuple[object, ...]]:
    """Where each statement stands that libcst places in frozen lines alone, what it is, and what it is inside of."""
    wrapper = MetadataWrapper(libcst.parse_module(document.text))
    parents = wrapper.resolve(ParentNodeProvider)
    found = set()
    for node, position in wrapper.resolve(PositionProvider).items():
        if isinstance(node, libcst.BaseStatement | libcst.BaseSmallStatement):
            for number, lines in enumerate(document.segment_ranges[0::2]):
                if position.start.line in lines and position.end.line in lines:
                    bare = node.with_changes(leading_lines=()) if hasattr(node, "leading_lines") else node
                    code = wrapper.module.code_for_node(bare).rstrip()  # comments of the region may trail it
                    code = "\n".join(code.split("\n")[: position.end.line - position.start.line + 1])
                    found.add((number, position.start.line - lines.first, code, *_kinds_around(node, parents)))
    return found


def _kinds_around(node: libcst.CSTNode, parents: Mapping[libcst.CSTNode, libcst.CSTNode]) -> Iterator[str]:
    while node in parents:
        yield type(node).__name__
        node = parents[node]
