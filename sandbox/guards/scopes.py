"""Names: which scope binds each, and which scope each use of it is resolved in, as Python's compiler does it."""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from sandbox.guards.script import Script


@dataclass(frozen=True, slots=True)
class Binding:
    """One place where a name is given a value."""

    line: int
    column: int
    """Counted from 0."""
    frozen: bool
    imports: str | None = None
    """What an import binds the name to: "torch.nn" for `from torch import nn`; None for any other binding."""
    defines: bool = False
    """Whether it is a def or a class."""


@dataclass(frozen=True, slots=True)
class Use:
    """One place where a name is read."""

    line: int
    frozen: bool


@dataclass(eq=False)
class Scope:
    """A module, a function (also a lambda or a comprehension), or a class body."""

    kind: Literal["module", "function", "class"]
    node: ast.AST
    parent: "Scope | None" = None
    bindings: dict[str, list[Binding]] = field(default_factory=lambda: defaultdict(list))
    uses: dict[str, list[Use]] = field(default_factory=lambda: defaultdict(list))
    declared_global: dict[str, Binding] = field(default_factory=dict)
    declared_nonlocal: dict[str, Binding] = field(default_factory=dict)
    children: list["Scope"] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.parent is not None:
            self.parent.children.append(self)

    @property
    def module(self) -> "Scope":
        """The outermost scope."""
        return self.parent.module if self.parent is not None else self

    def every(self) -> Iterator["Scope"]:
        """This scope and all inside it."""
        yield self
        for child in self.children:
            yield from child.every()

    def resolve(self, name: str) -> "Scope":
        """The scope that a use of `name` here reads; the module for a global, a builtin or an unknown name."""
        if name in self.declared_global:
            return self.module
        if name in self.bindings and name not in self.declared_nonlocal:
            return self
        outer = self.parent
        while outer is not None and outer.kind == "class":
            outer = outer.parent
        return outer.resolve(name) if outer is not None else self

    def target(self, name: str) -> "Scope":
        """The scope in which binding `name` here takes effect."""
        if name in self.declared_global:
            return self.module
        return self.resolve(name) if name in self.declared_nonlocal else self


def scopes_of(script: Script) -> Scope:
    """The module scope of a script, with all scopes inside it."""
    module = Scope("module", script.tree)
    builder = _Builder(script)
    for statement in script.tree.body:
        builder.visit(statement, module)
    return module


class _Builder:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.fixed_line: int | None = None  # inside an f-string, whose parts have no exact lines before Python 3.12
        self.handlers: dict[type[ast.AST], Callable[..., None]] = {
            ast.Name: self.name,
            ast.FunctionDef: self.function,
            ast.AsyncFunctionDef: self.function,
            ast.Lambda: self.function,
            ast.ClassDef: self.class_,
            ast.ListComp: self.comprehension,
            ast.SetComp: self.comprehension,
            ast.GeneratorExp: self.comprehension,
            ast.DictComp: self.comprehension,
            ast.NamedExpr: self.walrus,
            ast.Import: self.import_,
            ast.ImportFrom: self.import_from,
            ast.Global: self.global_,
            ast.Nonlocal: self.nonlocal_,
            ast.ExceptHandler: self.named_binder,
            ast.MatchAs: self.named_binder,
            ast.MatchStar: self.named_binder,
            ast.MatchMapping: self.named_binder,
            ast.JoinedStr: self.formatted,
        }
        for kind in ("TypeVar", "TypeVarTuple", "ParamSpec"):
            if hasattr(ast, kind):
                self.handlers[getattr(ast, kind)] = self.named_binder

    def visit(self, node: ast.AST, scope: Scope) -> None:
        handler = self.handlers.get(type(node))
        if handler is not None:
            handler(node, scope)
        else:
            self.inside(node, scope)

    def inside(self, node: ast.AST, scope: Scope, skip: tuple[str, ...] = ()) -> None:
        for name in node._fields:
            value = getattr(node, name, None)
            if name in skip:
                continue
            if isinstance(value, list):
                for child in value:
                    if isinstance(child, ast.AST):
                        self.visit(child, scope)
            elif isinstance(value, ast.AST):
                self.visit(value, scope)

    def bind(self, name: str, node: ast.AST, scope: Scope, imports: str | None = None, defines: bool = False) -> None:
        scope.bindings[name].append(self.binding(node, imports, defines))

    def binding(self, node: ast.AST, imports: str | None = None, defines: bool = False) -> Binding:
        line = self.line(node)
        return Binding(line, getattr(node, "col_offset", 0), self.script.is_frozen(line), imports, defines)

    def line(self, node: ast.AST) -> int:
        return self.fixed_line if self.fixed_line is not None else int(getattr(node, "lineno", 1))

    def name(self, node: ast.Name, scope: Scope) -> None:
        if isinstance(node.ctx, ast.Load):
            line = self.line(node)
            scope.uses[node.id].append(Use(line, self.script.is_frozen(line)))
        else:
            self.bind(node.id, node, scope)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope) -> None:
        if not isinstance(node, ast.Lambda):
            self.bind(node.name, node, scope, defines=True)
            for outside in (*node.decorator_list, *([node.returns] if node.returns else [])):
                self.visit(outside, scope)
        inner = Scope("function", node, scope)
        arguments = node.args
        for argument in ast.walk(arguments):
            if isinstance(argument, ast.arg):
                self.bind(argument.arg, argument, inner)
                if argument.annotation is not None:
                    self.visit(argument.annotation, scope)
        for default in (*arguments.defaults, *(value for value in arguments.kw_defaults if value is not None)):
            self.visit(default, scope)
        self.inside(node, inner, skip=("name", "args", "decorator_list", "returns"))

    def class_(self, node: ast.ClassDef, scope: Scope) -> None:
        self.bind(node.name, node, scope, defines=True)
        for outside in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(outside, scope)
        self.inside(node, Scope("class", node, scope), skip=("bases", "keywords", "decorator_list"))

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp, scope: Scope) -> None:
        self.visit(node.generators[0].iter, scope)
        inner = Scope("function", node, scope)
        for number, generator in enumerate(node.generators):
            self.inside(generator, inner, skip=("iter",) if number == 0 else ())
        self.inside(node, inner, skip=("generators",))

    def walrus(self, node: ast.NamedExpr, scope: Scope) -> None:
        self.visit(node.value, scope)
        outer = scope
        while isinstance(outer.node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            assert outer.parent is not None
            outer = outer.parent
        self.bind(node.target.id, node, outer)

    def import_(self, node: ast.Import, scope: Scope) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self.bind(alias.asname or top, alias, scope, imports=alias.name if alias.asname else top)

    def import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            origin = f"{'.' * node.level}{node.module or ''}.{alias.name}"
            self.bind(alias.asname or alias.name, alias, scope, imports=origin)

    def global_(self, node: ast.Global, scope: Scope) -> None:
        scope.declared_global.update((name, self.binding(node)) for name in node.names)

    def nonlocal_(self, node: ast.Nonlocal, scope: Scope) -> None:
        scope.declared_nonlocal.update((name, self.binding(node)) for name in node.names)

    def named_binder(self, node: ast.AST, scope: Scope) -> None:
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if name is not None:
            self.bind(name, node, scope)
        self.inside(node, scope)

    def formatted(self, node: ast.JoinedStr, scope: Scope) -> None:
        before, self.fixed_line = self.fixed_line, self.line(node)
        self.inside(node, scope)
        self.fixed_line = before
