"""What flows between the agent's own functions and classes: arguments, results, and what is kept on self.

`learning` fills it before the reading, so that code which hands a module on is read as if it named the module there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

if TYPE_CHECKING:
    from sandbox.policy.scopes import Scope

OWN = ("self", "cls")
"""What a method calls the object, or the class, that it belongs to."""
_DEEPEST = 20
"""So many functions are followed through one another: honest code calls deeper, and hands nothing on there."""


class Found(NamedTuple):
    """An expression of the agent's code, and the scope that it stands in."""

    value: cst.BaseExpression
    scope: Scope


class Parameter(NamedTuple):
    """An argument of one of the agent's functions, which stands for whatever its calls give."""

    function: str
    """A constructor is called by the name of its class."""
    name: str
    places: tuple[int, ...]
    """Where it may stand in a call, as a method may be called through its object or through its class."""
    takes_all: bool = False
    """Whether it takes all that is left over: *name or **name."""

    def takes(self, place: int, argument: cst.Arg) -> bool:
        """Whether an argument of a call may arrive here."""
        if self.takes_all or argument.keyword is None:
            return self.takes_all or (place in self.places and not argument.star)
        return argument.keyword.value == self.name


class Flow:
    """By name, where the agent's functions are called and what they give back; by class, what it keeps."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[cst.Call, Scope]]] = {}
        self.results: dict[str, list[Found]] = {}
        self.classes: dict[str, list[Scope]] = {}
        self.bases: dict[str, set[str]] = {}
        self.scopes: dict[cst.CSTNode, Scope] = {}
        """Of functions, classes and comprehensions."""
        self.kept: set[str] = set()
        """The names that classes keep something under."""
        self.followed: set[str] = set()
        """Functions, and classes with a constructor, whose arguments are followed."""
        self.known: dict[object, frozenset[str]] = {}
        """The dotted names of what was asked for; empty while they are being looked for."""
        self._depth = 0

    def arguments(self, parameter: Parameter) -> Iterator[Found]:
        """What the calls of its function give for a parameter."""
        for call, scope in self.calls.get(parameter.function, ()):
            for place, argument in enumerate(call.args):
                if parameter.takes(place, argument):
                    yield Found(argument.value, scope)

    def lineage(self, name: str) -> Iterator[Scope]:
        """The bodies of the agent's class of this name, and of those that it inherits from."""
        waiting, seen = [name], {name}
        while waiting:
            current = waiting.pop()
            yield from self.classes.get(current, ())
            above = self.bases.get(current, set()) - seen
            seen |= above
            waiting += above

    def once(self, key: object, find: Callable[[], Iterable[str]]) -> frozenset[str]:
        """The dotted names of `key`, found at the first question; nothing to one who asks while they are found."""
        if key not in self.known:
            if self._depth == _DEEPEST:
                return frozenset()
            self.known[key] = frozenset()
            self._depth += 1
            self.known[key] = frozenset(find())
            self._depth -= 1
        return self.known[key]


def called_name(node: cst.Call) -> str | None:
    """The last name of the function of a call."""
    return last_name(node.func)


def last_name(node: cst.CSTNode) -> str | None:
    """The name itself, or that of an attribute."""
    if isinstance(node, cst.Name):
        return node.value
    return node.attr.value if isinstance(node, cst.Attribute) else None


def is_special(name: str) -> bool:
    """Whether Python itself calls a method of this name."""
    return name.startswith("__") and name.endswith("__")
