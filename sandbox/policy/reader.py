"""The walk over the agent's code: every name that it reads, imports, calls or sets is put to the rules, once."""

from collections.abc import Callable, Iterable, Sequence

import libcst as cst

from sandbox.policy import changes, embedded, environment, handing, reflection, rules
from sandbox.policy.agent_code import Code
from sandbox.policy.binding import COMPREHENSIONS, class_scope, comprehension_scope, function_scope, imported
from sandbox.policy.finding import Finding, spoken
from sandbox.policy.flow import is_special
from sandbox.policy.names import called, meanings
from sandbox.policy.scopes import Scope
from sandbox.policy.tree import children
from sandbox.policy.verdicts import Verdicts
from sandbox.policy.vocabulary import DEFINITIONS, ONLY_WITH, TELLING_ATTRIBUTES


class Reader:
    """Reads code piece by piece without recursion, so that no nesting is too deep for it."""

    def __init__(self, verdicts: Verdicts, variables: Sequence[str]):
        """`variables`: the environment variables that may be set."""
        self.verdicts, self.variables = verdicts, variables
        self.findings: list[Finding] = []
        self._waiting: list[Code] = []
        self._entered: set[int] = set()
        """The contexts of `with` statements, by id of their expressions."""
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
            cst.Yield: self._yield,
            cst.Return: self._return,
            cst.BinaryOperation: self._operands,
            cst.Comparison: self._operands,
            cst.Annotation: self._annotation,
            cst.Expr: self._statement,
            cst.SimpleString: self._text,
            cst.ConcatenatedString: self._text,
            cst.With: self._with,
            cst.Match: self._match,
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
        names = meanings(node, scope)
        self._names_read(node, names)
        root: cst.BaseExpression = node
        while isinstance(root, cst.Attribute):
            self._attribute(root, root.attr.value, root.value, scope)
            root = root.value
        if isinstance(root, cst.Name):
            self.findings += handing.function(root, meanings(root, scope))
        else:
            self._later([root], scope)

    def _names_read(self, node: cst.CSTNode, names: Iterable[str]) -> None:
        """What may be read by one of several names is judged by the worst of them."""
        ruled = [(rule, name) for name in sorted(names) if (rule := self.verdicts.use(name)) is not None]
        if ruled:
            rule, name = min(ruled, key=lambda found: not found[0].refuses)
            self._found(rule, spoken(name), node)

    def _attribute(self, node: cst.CSTNode, attribute: str, owner: cst.BaseExpression, scope: Scope) -> None:
        self.findings += reflection.attribute(node, attribute, owner, scope, self.verdicts)

    def _item(self, node: cst.Subscript, scope: Scope) -> None:
        self._names_read(node, meanings(node, scope))
        for part in node.slice:
            self.findings += handing.module(part.slice.value if isinstance(part.slice, cst.Index) else None, scope)
        self._later([node.value, *node.slice], scope)

    def _call(self, node: cst.Call, scope: Scope) -> None:
        functions = called(node, scope)
        self._names_read(node, meanings(node, scope))
        self.findings += reflection.call(node, functions, scope, self.verdicts)
        self.findings += changes.call(node, functions, scope)
        self.findings += handing.arguments(node, functions, scope)
        if id(node) not in self._entered and not ONLY_WITH.isdisjoint(functions):
            self._found(rules.HOOK, f"{min(functions)} without a with statement", node)
        variable = environment.call(node, functions, scope, self.variables)
        if variable is not None:
            self.findings.append(variable)
        by_name = isinstance(node.func, cst.Name) and handing.reads_by_name(functions)
        self._later(node.args if variable is not None or by_name else [node.func, *node.args], scope)

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
        elif isinstance(target, cst.Name):
            self._found(DEFINITIONS.get(target.value), target.value, target)
        elif isinstance(target, cst.Subscript):
            variable = environment.set_item(target, scope, self.variables)
            if variable is not None:
                self.findings.append(variable)
            else:
                self.findings += changes.set_item(target, scope)
                self._later([target.value, *target.slice], scope)

    def _assign(self, node: cst.Assign, scope: Scope) -> None:
        for target in node.targets:
            self._target(target.target, scope)
            self.findings += handing.kept(target.target, node.value, scope)
        self._later([node.value], scope)

    def _augmented(self, node: cst.AugAssign, scope: Scope) -> None:
        variable = environment.updated(node, scope, self.variables)
        if variable is not None:
            self.findings.append(variable)
        else:
            self._target(node.target, scope)
        self.findings += handing.module(node.value, scope)
        self._later([node.value], scope)

    def _annotated(self, node: cst.AnnAssign, scope: Scope) -> None:
        if node.value is not None:
            self._target(node.target, scope)
            self.findings += handing.kept(node.target, node.value, scope)
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
        self._found(DEFINITIONS.get(node.name.value), f"the method {node.name.value}", node)
        self._later([*node.decorators, node.params, node.returns], scope)
        self._later([node.body], function_scope(node, scope))

    def _lambda(self, node: cst.Lambda, scope: Scope) -> None:
        inside = function_scope(node, scope)
        self.findings += handing.module(node.body, inside)
        self._later([node.params], scope)
        self._later([node.body], inside)

    def _yield(self, node: cst.Yield, scope: Scope) -> None:
        value = node.value.item if isinstance(node.value, cst.From) else node.value
        self.findings += handing.module(value, scope)
        self._later([node.value], scope)

    def _return(self, node: cst.Return, scope: Scope) -> None:
        """What Python itself calls gives its result to nobody knows whom."""
        if scope.name is not None and is_special(scope.name):
            self.findings += handing.module(node.value, scope)
        self._later([node.value], scope)

    def _operands(self, node: cst.BinaryOperation | cst.Comparison, scope: Scope) -> None:
        """An operator hands its operands to what the classes of these define."""
        for operand in handing.operands(node):
            self.findings += handing.module(operand, scope)
        self._later(children(node), scope)

    def _annotation(self, node: cst.Annotation, scope: Scope) -> None:
        for code in embedded.annotated_code(node):
            inside = Reader(self.verdicts, self.variables).read([(code, scope)])
            self.findings += (finding._replace(node=node) for finding in inside)
        self._later(children(node), scope)

    def _statement(self, node: cst.Expr, scope: Scope) -> None:
        """A text that stands by itself says something to people."""
        if not isinstance(node.value, cst.SimpleString | cst.ConcatenatedString):
            self._later([node.value], scope)

    def _text(self, node: cst.SimpleString | cst.ConcatenatedString, scope: Scope) -> None:
        telling = embedded.telling(node)
        if telling is not None:
            self._found(DEFINITIONS.get(telling, rules.REFLECTION), repr(telling), node)
        if isinstance(node, cst.ConcatenatedString):
            self._later(children(node), scope)

    def _with(self, node: cst.With, scope: Scope) -> None:
        self._entered.update(id(item.item) for item in node.items)
        self._later(children(node), scope)

    def _match(self, node: cst.Match, scope: Scope) -> None:
        self.findings += handing.module(node.subject, scope)
        self._later(children(node), scope)

    def _parameter(self, node: cst.Param, scope: Scope) -> None:
        self._later([node.annotation, node.default], scope)

    def _class(self, node: cst.ClassDef, scope: Scope) -> None:
        for base in node.bases:
            if changes.makes_tensors(base.value, scope):
                self._found(rules.SUBCLASS, f"the class {node.name.value}", node)
        for keyword in node.keywords:
            self.findings += handing.module(keyword.value, scope)
        self._later([*node.decorators, *node.bases, *node.keywords], scope)
        self._later([node.body], class_scope(node, scope))

    def _comprehension(self, node: cst.BaseSimpleComp | cst.DictComp, scope: Scope) -> None:
        first = node.for_in
        inner = comprehension_scope(node, scope)
        self._later([first.iter], scope)
        results = [node.key, node.value] if isinstance(node, cst.DictComp) else [node.elt]
        for result in results:
            self.findings += handing.module(result, inner)
        self._later(results, inner)
        loop: cst.CompFor | None = first
        while loop is not None:
            self._target(loop.target, inner)
            self._later([*loop.ifs, None if loop is first else loop.iter], inner)
            loop = loop.inner_for_in

    def _match_as(self, node: cst.MatchAs, scope: Scope) -> None:
        self._later([node.pattern], scope)

    def _match_keyword(self, node: cst.MatchKeywordElement, scope: Scope) -> None:
        self._attribute(node, node.key.value, node.key, Scope())
        self._later([node.pattern], scope)

    def _match_mapping(self, node: cst.MatchMapping, scope: Scope) -> None:
        self._later(node.elements, scope)

    def _type_alias(self, node: cst.TypeAlias, scope: Scope) -> None:
        self._later([node.value], scope)

    def _nothing(self, node: cst.CSTNode, scope: Scope) -> None:
        pass
