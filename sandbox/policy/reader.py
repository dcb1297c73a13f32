"""The walk over the agent's code: every name that it reads, imports, calls or sets is put to the rules, once."""

from collections.abc import Callable, Iterable, Sequence

import libcst as cst

from sandbox.policy import changes, environment, rules
from sandbox.policy.agent_code import Code
from sandbox.policy.finding import Finding, spoken
from sandbox.policy.names import called, meanings
from sandbox.policy.scopes import (
    COMPREHENSIONS,
    Scope,
    class_scope,
    comprehension_scope,
    function_scope,
    imported,
)
from sandbox.policy.tree import children, literal
from sandbox.policy.verdicts import BUILTINS, Verdicts
from sandbox.policy.vocabulary import NAMESPACE_ATTRIBUTES, PICKLING_METHODS, REFLECTING_ATTRIBUTES, TELLING_ATTRIBUTES


class Reader:
    """Reads code piece by piece without recursion, so that no nesting is too deep for it."""

    def __init__(self, verdicts: Verdicts, variables: Sequence[str]):
        """`variables`: the environment variables that may be set."""
        self.verdicts, self.variables = verdicts, variables
        self.findings: list[Finding] = []
        self._waiting: list[Code] = []
        self._readers: dict[type[cst.CSTNode], Callable[..., None]] = {
            cst.Import: self._import,
            cst.ImportFrom: self._import,
            cst.Name: self._name,
            cst.Attribute: self._name,
            cst.Subscript: self._item,
            cst.Call: self._call,
            cst.Arg: self._argument,
            cst.Assign: self._assign,
            cst.AugAssign: self._augmented,
            cst.AnnAssign: self._annotated,
            cst.NamedExpr: self._walrus,
            cst.Del: self._delete,
            cst.For: self._for,
            cst.AsName: self._as,
            cst.FunctionDef: self._function,
            cst.Lambda: self._lambda,
            cst.Param: self._parameter,
            cst.ClassDef: self._class,
            cst.MatchAs: self._match_as,
            cst.MatchKeywordElement: self._match_keyword,
            cst.MatchMapping: self._match_mapping,
            cst.TypeAlias: self._type_alias,
            **dict.fromkeys(COMPREHENSIONS, self._comprehension),
            **dict.fromkeys((cst.Global, cst.Nonlocal, cst.MatchStar), self._nothing),
        }

    def read(self, code: Iterable[Code]) -> list[Finding]:
        """All findings, in no particular order."""
        self._waiting += code
        while self._waiting:
            node, scope = self._waiting.pop()
            reader = self._readers.get(type(node))
            if reader is not None:
                reader(node, scope)
            else:
                self._later(children(node), scope)
        return self.findings

    def _later(self, nodes: Iterable[cst.CSTNode | None], scope: Scope) -> None:
        self._waiting += ((node, scope) for node in nodes if node is not None)

    def _found(self, rule: rules.Rule | None, subject: str, node: cst.CSTNode) -> None:
        if rule is not None:
            self.findings.append(Finding(rule, subject, node))

    def _import(self, node: cst.Import | cst.ImportFrom, scope: Scope) -> None:
        for _, _, full in imported(node):
            rule = self.verdicts.importing(full)
            if rule is None and not self.verdicts.allowed([full]):
                rule = TELLING_ATTRIBUTES.get(full.rpartition(".")[2])
            self._found(rule, full, node)

    def _name(self, node: cst.Name | cst.Attribute, scope: Scope) -> None:
        self._names_read(node, meanings(node, scope))
        root: cst.BaseExpression = node
        while isinstance(root, cst.Attribute):
            self._attribute(root, root.attr.value, root.value, scope)
            root = root.value
        if not isinstance(root, cst.Name):
            self._later([root], scope)

    def _names_read(self, node: cst.CSTNode, names: Iterable[str]) -> None:
        """What may be read by one of several names is judged by the worst of them."""
        ruled = [(rule, name) for name in sorted(names) if (rule := self.verdicts.use(name)) is not None]
        if ruled:
            rule, name = min(ruled, key=lambda found: not found[0].refuses)
            self._found(rule, spoken(name), node)

    def _attribute(self, node: cst.CSTNode, attribute: str, owner: cst.BaseExpression, scope: Scope) -> None:
        """The rules on attributes that tell by their own name."""
        if attribute in REFLECTING_ATTRIBUTES:
            self._found(rules.REFLECTION, attribute, node)
        elif attribute in NAMESPACE_ATTRIBUTES:
            if owners := _outside(owner, scope):
                self._found(rules.REFLECTION, f"{spoken(owners[0])}.{attribute}", node)
        elif attribute in TELLING_ATTRIBUTES and not self._fine(attribute, owner, scope):
            self._found(TELLING_ATTRIBUTES[attribute], attribute, node)

    def _fine(self, attribute: str, owner: cst.BaseExpression, scope: Scope) -> bool:
        """Whether it is an attribute of the region's own class, or the task allows it."""
        own = isinstance(owner, cst.Name) and owner.value in changes.OWN
        return own or self.verdicts.allowed(f"{name}.{attribute}" for name in meanings(owner, scope))

    def _item(self, node: cst.Subscript, scope: Scope) -> None:
        self._names_read(node, meanings(node, scope))
        self._later([node.value, *node.slice], scope)

    def _call(self, node: cst.Call, scope: Scope) -> None:
        functions = called(node, scope)
        self._names_read(node, meanings(node, scope))
        self._reflecting_call(node, functions, scope)
        self.findings += changes.call(node, functions, scope)
        variable = environment.call(node, functions, self.variables)
        if variable is not None:
            self.findings.append(variable)
        self._later(node.args if variable is not None else [node.func, *node.args], scope)

    def _reflecting_call(self, node: cst.Call, functions: Iterable[str], scope: Scope) -> None:
        """getattr(x, "name") is x.name; vars(x) is x.__dict__; locals() of a module is its names."""
        subject = node.args[0].value if node.args else None
        for function in functions:
            if function == f"{BUILTINS}getattr" and subject is not None and len(node.args) > 1:
                name = literal(node.args[1].value)
                if name is not None:
                    self._attribute(node, name, subject, scope)
                elif modules := _outside(subject, scope):
                    self._found(rules.INDIRECT, f"getattr({spoken(modules[0])}, ...)", node)
            elif function == f"{BUILTINS}vars" and subject is not None:
                self._attribute(node, "__dict__", subject, scope)
            elif function in (f"{BUILTINS}vars", f"{BUILTINS}locals") and not scope.in_function:
                self._found(rules.REFLECTION, spoken(function), node)

    def _argument(self, node: cst.Arg, scope: Scope) -> None:
        self._later([node.value], scope)

    def _target(self, target: cst.CSTNode, scope: Scope) -> None:
        """What is assigned to, deleted, or bound by a loop or a `with`."""
        if isinstance(target, cst.Tuple | cst.List):
            for element in target.elements:
                self._target(element.value, scope)
        elif isinstance(target, cst.Attribute):
            self.findings += changes.set_attribute(target, scope)
            if not meanings(target.value, scope):
                self._later([target.value], scope)
        elif isinstance(target, cst.Subscript):
            variable = environment.set_item(target, scope, self.variables)
            if variable is not None:
                self.findings.append(variable)
            else:
                self._later([target.value, *target.slice], scope)

    def _assign(self, node: cst.Assign, scope: Scope) -> None:
        for target in node.targets:
            self._target(target.target, scope)
        self._later([node.value], scope)

    def _augmented(self, node: cst.AugAssign, scope: Scope) -> None:
        variable = environment.updated(node, scope, self.variables)
        if variable is not None:
            self.findings.append(variable)
        else:
            self._target(node.target, scope)
        self._later([node.value], scope)

    def _annotated(self, node: cst.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self._target(node.target, scope)
        self._later([node.annotation, node.value], scope)

    def _walrus(self, node: cst.NamedExpr, scope: Scope) -> None:
        self._later([node.value], scope)

    def _delete(self, node: cst.Del, scope: Scope) -> None:
        self._target(node.target, scope)

    def _for(self, node: cst.For, scope: Scope) -> None:
        self._target(node.target, scope)
        self._later([node.iter, node.body, node.orelse], scope)

    def _as(self, node: cst.AsName, scope: Scope) -> None:
        self._target(node.name, scope)

    def _function(self, node: cst.FunctionDef, scope: Scope) -> None:
        if node.name.value in PICKLING_METHODS:
            self._found(rules.SERIALISATION, f"the method {node.name.value}", node)
        self._later([*node.decorators, node.params, node.returns], scope)
        self._later([node.body], function_scope(node, scope))

    def _lambda(self, node: cst.Lambda, scope: Scope) -> None:
        self._later([node.params], scope)
        self._later([node.body], function_scope(node, scope))

    def _parameter(self, node: cst.Param, scope: Scope) -> None:
        self._later([node.annotation, node.default], scope)

    def _class(self, node: cst.ClassDef, scope: Scope) -> None:
        self._later([*node.decorators, *node.bases, *node.keywords], scope)
        self._later([node.body], class_scope(node, scope))

    def _comprehension(self, node: cst.BaseSimpleComp | cst.DictComp, scope: Scope) -> None:
        first = node.for_in
        inner = comprehension_scope(first, scope)
        self._later([first.iter], scope)
        results = [node.key, node.value] if isinstance(node, cst.DictComp) else [node.elt]
        self._later(results, inner)
        loop: cst.CompFor | None = first
        while loop is not None:
            self._target(loop.target, inner)
            self._later([*loop.ifs, None if loop is first else loop.iter], inner)
            loop = loop.inner_for_in

    def _match_as(self, node: cst.MatchAs, scope: Scope) -> None:
        self._later([node.pattern], scope)

    def _match_keyword(self, node: cst.MatchKeywordElement, scope: Scope) -> None:
        self._later([node.pattern], scope)

    def _match_mapping(self, node: cst.MatchMapping, scope: Scope) -> None:
        self._later(node.elements, scope)

    def _type_alias(self, node: cst.TypeAlias, scope: Scope) -> None:
        self._later([node.value], scope)

    def _nothing(self, node: cst.CSTNode, scope: Scope) -> None:
        pass


def _outside(node: cst.BaseExpression, scope: Scope) -> list[str]:
    """The modules and read-only definitions that an expression may stand for."""
    return [name for name in sorted(meanings(node, scope)) if not name.startswith(BUILTINS)]
