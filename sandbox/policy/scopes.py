"""The scopes of Python: what the names of a module, class, function or comprehension stand for."""

from typing import NamedTuple

import libcst as cst

from sandbox.policy.flow import Flow, Parameter


class Element(NamedTuple):
    """Any element of what something gives: an expression, or an element of it."""

    container: "cst.BaseExpression | Element"


Value = cst.BaseExpression | Element
"""What is assigned: an expression, or an element of what one gives."""


class Default(NamedTuple):
    """What means what it does in another scope: the default of an argument, what is kept on self, a global name."""

    value: Value
    scope: "Scope"


Meaning = str | Value | Default | Parameter | None
"""What a name is bound to: an import, by its dotted name; an expression; an argument; or something unknown."""


class Scope:
    """The names that a module, class, function, lambda or comprehension binds."""

    def __init__(self, parent: "Scope | None" = None, *, is_class: bool = False, name: str | None = None):
        """`name`: of the function or class."""
        self.parent, self.is_class, self.name = parent, is_class, name
        self.is_property = False
        """Whether this is inside of a method that is called by reading an attribute."""
        self.flow: Flow = Flow() if parent is None else parent.flow
        self.meanings: dict[str, list[Meaning]] = {}
        self.elsewhere: set[str] = set()
        """Declared global or nonlocal."""
        self.known: dict[str, frozenset[str]] = {}
        """The dotted names of the names that were asked for; empty while they are being looked for."""

    @property
    def in_function(self) -> bool:
        """Whether code here runs in a function."""
        return self.parent is not None and (not self.is_class or self.parent.in_function)

    @property
    def class_name(self) -> str | None:
        """The name of the class that this is, or whose method."""
        scope: Scope | None = self
        while scope is not None and not scope.is_class:
            scope = scope.parent
        return scope.name if scope is not None else None

    @property
    def top(self) -> "Scope":
        """Module level."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def bind(self, name: str, meaning: Meaning = None) -> None:
        """Add one thing that the name may stand for."""
        self.meanings.setdefault(name, []).append(meaning)

    def find(self, name: str) -> "Scope | None":
        """The scope that binds `name`, as seen from here."""
        scope: Scope | None = self
        while scope is not None:
            visible = scope is self or not scope.is_class
            if visible and name in scope.meanings and name not in scope.elsewhere:
                return scope
            scope = scope.parent
        return None
