"""What flows between the agent's own functions and classes: arguments, results, and what is kept on self.

Learnt before the reading, so that code which hands a module on is read as if it had written the module's name there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from sandbox.policy.tree import children

if TYPE_CHECKING:
    from sandbox.policy.scopes import Scope

OWN = ("self", "cls")
"""What a method calls the object, or the class, that it belongs to."""
_DEEPEST = 20
"""So many functions are followed through one another: honest code calls deeper, and hands nothing on there."""
_PROPERTIES = ("property", "cached_property")


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


class Flow:
    """By name, where the agent's functions are called and what they give back; by class, what it keeps."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[cst.Call, Scope]]] = {}
        self.results: dict[str, list[Found]] = {}
        self.kept: dict[tuple[str, str], list[Found]] = {}
        self.followed: set[str] = set()
        """Functions and classes whose arguments are followed."""
        self.known: dict[object, frozenset[str]] = {}
        """The dotted names of what was asked for; empty while they are being looked for."""
        self._depth = 0

    def arguments(self, parameter: Parameter) -> Iterator[Found]:
        """What the calls of its function give for a parameter."""
        for call, scope in self.calls.get(parameter.function, ()):
            for place, argument in enumerate(call.args):
                named = argument.keyword is not None and argument.keyword.value == parameter.name
                if named or (argument.keyword is None and not argument.star and place in parameter.places):
                    yield Found(argument.value, scope)

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

    def learn(self, code: Iterable[tuple[cst.CSTNode, Scope]]) -> None:
        """Note what flows in the agent's code."""
        from sandbox.policy.binding import parts

        waiting = list(code)
        while waiting:
            node, scope = waiting.pop()
            self._note(node, scope)
            waiting += parts(node, scope)

    def _note(self, node: cst.CSTNode, scope: Scope) -> None:
        if isinstance(node, cst.Call):
            name = called_name(node)
            if name is not None:
                self.calls.setdefault(name, []).append((node, scope))
        elif isinstance(node, cst.Return) and node.value is not None:
            self._note_result(Found(node.value, scope))
        elif isinstance(node, cst.Assign):
            for target in node.targets:
                self._note_kept(target.target, Found(node.value, scope))
        elif isinstance(node, cst.AnnAssign) and node.value is not None:
            self._note_kept(node.target, Found(node.value, scope))
        elif isinstance(node, cst.FunctionDef | cst.ClassDef):
            self.followed.add(node.name.value)

    def _note_result(self, found: Found) -> None:
        scope = found.scope
        if scope.name is None:
            return
        self.results.setdefault(scope.name, []).append(found)
        if scope.is_property and scope.class_name is not None:
            self.kept.setdefault((scope.class_name, scope.name), []).append(found)

    def _note_kept(self, target: cst.BaseExpression, found: Found) -> None:
        """self.name = value in a method, name = value in the body of a class."""
        owner = found.scope.class_name
        if owner is None:
            return
        if found.scope.is_class and isinstance(target, cst.Name):
            self.kept.setdefault((owner, target.value), []).append(found)
        elif isinstance(target, cst.Attribute) and isinstance(target.value, cst.Name) and target.value.value in OWN:
            self.kept.setdefault((owner, target.attr.value), []).append(found)


def called_name(node: cst.Call) -> str | None:
    """The last name of the function of a call."""
    if isinstance(node.func, cst.Name):
        return node.func.value
    return node.func.attr.value if isinstance(node.func, cst.Attribute) else None


def is_property(node: cst.FunctionDef) -> bool:
    """Whether reading an attribute calls this method."""
    names = (part for decorator in node.decorators for part in children(decorator))
    last = (name.attr if isinstance(name, cst.Attribute) else name for name in names)
    return any(isinstance(name, cst.Name) and name.value in _PROPERTIES for name in last)
