"""Whatever is edited and undone, frozen bytes and frozen nodes stay as they were."""

import ast
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.document import Document
from sandbox.editor import edit
from sandbox.errors import LinbenchError
from sandbox.guards import check
from sandbox.operations import Delete, Insert, Load, Operation, Replace, Substitute
from sandbox.schema import OverrideKey
from sandbox.whole_file import document_from_text

TEMPLATE = '''\
"""A script."""
import math
#[ functions
def first():
    return 1
#]
# a frozen comment
def run(x):
    """Runs."""
    #[ body
    y = x
    #]
    if x:
        y = math.floor(x)
        #[ branch
        y = 2
        #]
    else:
        y = 3
    return y
class Model:
    #[ members
    size = 1
    #]
    def method(self):
        return run(self.size)
def main():
    #[ overrides
    CONFIG_OVERRIDES = {}
    #]
    return CONFIG_OVERRIDES
'''
ALLOWED = {"rate": OverrideKey("float", 0, 1)}

FRAGMENTS = [
    *(
        "x = 1",
        "pass",
        "if x:",
        "else:",
        "for x in ():",
        "try:",
        "finally:",
        "def f():",
        "class C:",
        "@dec",
        "return y",
    ),
    *('"""', "'''", "x = (", ")", "x = 1 \\", "pass; \\", "# c", "# c \\", "x;", "", "\x0c", "f'''{", "}'''", "yield"),
    *(
        "import math",
        "math = 1",
        "def run(): ...",
        "CONFIG_OVERRIDES = {'rate': 0.5}",
        "y = [1,",
        "]",
        "\ty = 2",
        "é = 'λ😀'",
    ),
]

lines = st.builds("{}{}".format, st.sampled_from(["", "    ", "        ", "            "]), st.sampled_from(FRAGMENTS))
contents = st.lists(lines, max_size=4).map(lambda chosen: "".join(f"{line}\n" for line in chosen))
numbers = st.integers(-1, 45)
operations = st.one_of(
    st.builds(Replace, numbers, numbers, contents),
    st.builds(Insert, numbers, contents),
    st.builds(Delete, numbers, numbers),
    st.builds(Substitute, lines, lines),
    st.just("undo"),
    st.tuples(st.integers(0, 4), contents),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(operations, max_size=8))
def test_any_sequence_of_edits_and_undos_keeps_the_frozen_code(
    framed: Callable[..., Document], steps: list[object]
) -> None:
    """Frozen bytes and nodes are unchanged, ranges are ordered and disjoint, and undo restores the exact text."""
    original = document = framed(TEMPLATE)
    history: list[tuple[Document, str]] = []
    for step in steps:
        if step == "undo":
            if history:
                document, text = history.pop()
                assert document.text == text
            continue
        try:
            reply = edit(document, _operation(document, step), ALLOWED)
        except LinbenchError:
            continue
        history.append((document, document.text))
        document = reply.document
        check(document, ALLOWED)
    assert _frozen_lines(document) == _frozen_lines(original)
    assert _frozen_nodes(document) >= _frozen_nodes(original)
    places = [edge for lines in document.ranges for edge in (lines.first, lines.last + 1)]
    assert places == sorted(places)
    assert document_from_text(document.frame, document.text, document).text == document.text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 4), contents), max_size=4))
def test_a_text_reads_back_as_a_document(framed: Callable[..., Document], changes: list[tuple[int, str]]) -> None:
    """Whatever stands in the regions, loading the whole text again gives the same text and the same frozen bytes."""
    original = document = framed(TEMPLATE)
    for region, content in changes:
        document = document.with_content(region, content)
    loaded = document_from_text(document.frame, document.text, original)
    assert loaded.text == document.text
    assert _frozen_lines(loaded) == _frozen_lines(original)


def test_too_deep_a_file_is_refused(framed: Callable[..., Document]) -> None:
    """Nesting that parses but overruns a walk of the tree is refused rather than raised as a RecursionError."""
    document = framed("#[ a\nx = 1\n#]\n")
    with pytest.raises(LinbenchError, match="deep"):
        check(document.with_content(0, "x = 1" + " + 1" * 895 + "\n"), {})


def _operation(document: Document, step: object) -> Operation:
    if not isinstance(step, tuple):
        assert isinstance(step, Operation)
        return step
    region, content = step
    return Load(document.with_content(region, content).text)


def _frozen_lines(document: Document) -> list[list[str]]:
    return [document.lines[lines.first - 1 : lines.last] for lines in document.segment_ranges[0::2]]


def _frozen_nodes(document: Document) -> set[tuple[object, ...]]:
    """Every statement inside frozen lines: where it stands, what it says, and the kinds of the blocks around it."""
    found: set[tuple[object, ...]] = set()
    waiting: list[tuple[ast.AST, tuple[str, ...]]] = [(ast.parse(document.text), ())]
    while waiting:
        node, around = waiting.pop()
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else ():
                if isinstance(child, ast.stmt | ast.ExceptHandler):
                    inner = (*around, f"{type(node).__name__}.{field}")
                    waiting.append((child, inner))
                    found.update(_where(document, child, inner))
    return found


def _where(document: Document, node: ast.stmt | ast.ExceptHandler, around: tuple[str, ...]) -> list[tuple[object, ...]]:
    return [
        (number, node.lineno - lines.first, ast.dump(node), *around)
        for number, lines in enumerate(document.segment_ranges[0::2])
        if node.lineno in lines and node.end_lineno in lines
    ]
