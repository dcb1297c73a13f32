"""What a region must define stays defined."""

from collections.abc import Callable

import pytest

from sandbox.document import Document
from sandbox.errors import EditRefused
from sandbox.guards import check

Framed = Callable[..., Document]

TEMPLATE = "#[ a\nclass Needed:\n    def method(self):\n        return 1\n#]\nprint(Needed().method())\n"


@pytest.fixture
def document(framed: Framed) -> Document:
    """A script whose region must define the class Needed with its method."""
    return framed(TEMPLATE, {"a": ("Needed", "Needed.method")})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "class Other:\n    def method(self):\n        return 1\n",
        "def other():\n    class Needed:\n        def method(self): ...\n",
        "# class Needed:\n",
    ],
)
def test_a_missing_definition_is_refused(document: Document, content: str) -> None:
    """Without the required class at module level, the edit is refused with its name."""
    with pytest.raises(EditRefused, match="must define 'Needed'"):
        check(document.with_content(0, content), {})


@pytest.mark.parametrize(
    "content", ["class Needed:\n    pass\n", "class Needed(list):\n    def other(self): ...\n", "def Needed(): ...\n"]
)
def test_a_missing_method_is_refused(document: Document, content: str) -> None:
    """A class without the required method, and without a base in the file that has it, is refused."""
    with pytest.raises(EditRefused, match=r"must define 'Needed\.method'"):
        check(document.with_content(0, content), {})


@pytest.mark.parametrize(
    "content",
    [
        "class Needed:\n    async def method(self): ...\n",
        "class Needed:\n    method = print\n",
        "class Base:\n    def method(self): ...\nclass Middle(Base): ...\nclass Needed(Middle): ...\n",
        "class Mine:\n    def method(self): ...\nNeeded = Mine\n",
        "if True:\n    class Needed:\n        def method(self): ...\n",
        "from somewhere import Needed\n",
        "try:\n    from a import Needed\nexcept ImportError:\n    class Needed:\n        def method(self): ...\n",
    ],
)
def test_any_way_of_defining_it_passes(document: Document, content: str) -> None:
    """Inherited, aliased, conditional and imported definitions count."""
    check(document.with_content(0, content), {})
