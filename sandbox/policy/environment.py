"""Environment variables: reading one is warned of, setting one is refused, but for a task's short list."""

from collections.abc import Iterable, Iterator

import libcst as cst

from sandbox.policy import rules
from sandbox.policy.finding import Finding
from sandbox.policy.flow import called_name
from sandbox.policy.names import item_key, meanings
from sandbox.policy.scopes import Scope
from sandbox.policy.tree import literal
from sandbox.policy.vocabulary import ENVIRONMENT

_READS = ("get", "keys", "items", "values", "copy", "__getitem__", "__contains__", "__iter__", "__len__")
_ONE_KEY = ("setdefault", "pop", "__setitem__", "__delitem__")
_PUT = ("os.putenv", "os.unsetenv")
_FUNCTIONS = ("setitem", "delitem", "ior", "update", "clear", "popitem", "__ior__", *_ONE_KEY)
"""How functions are called that change the dictionary that they are given first: operator.setitem, dict.update."""


def set_item(node: cst.Subscript, scope: Scope, allowed: Iterable[str]) -> Finding | None:
    """What is found in setting or deleting os.environ[...]; None where that is not what the target is."""
    if ENVIRONMENT not in meanings(node.value, scope):
        return None
    return _set([item_key(node)], node, allowed)


def updated(node: cst.AugAssign, scope: Scope, allowed: Iterable[str]) -> Finding | None:
    """What is found in os.environ |= {...}; None where that is not what it is."""
    if ENVIRONMENT not in meanings(node.target, scope):
        return None
    return _set(list(_dictionary_keys(node.value)), node, allowed)


def call(node: cst.Call, functions: Iterable[str], scope: Scope, allowed: Iterable[str]) -> Finding | None:
    """What is found in os.environ.setdefault(...) and the like; None where the call is no such thing."""
    if node.args and called_name(node) in _FUNCTIONS and ENVIRONMENT in meanings(node.args[0].value, scope):
        return _set([literal(argument.value) for argument in node.args[1:2]], node, allowed)
    for function in functions:
        if function in _PUT:
            return _set([_first_text(node)], node, allowed)
        method = function.removeprefix(f"{ENVIRONMENT}.")
        if method == function or method in _READS:
            continue
        keys = [_first_text(node)] if method in _ONE_KEY else list(_updated_keys(node)) if method == "update" else []
        return _set(keys, node, allowed)
    return None


def _set(keys: list[str | None], node: cst.CSTNode, allowed: Iterable[str]) -> Finding:
    """Refused unless every variable is known and allowed; no variable at all (clear, popitem) means every one."""
    known = [key for key in keys if key is not None]
    listed = set(allowed)
    fine = bool(keys) and len(known) == len(keys) and set(known) <= listed
    rule = rules.ENVIRONMENT_SET if fine else rules.ENVIRONMENT
    named = [key for key in known if fine or key not in listed] or ["..."]
    return Finding(rule, f"{ENVIRONMENT}[{', '.join(named)}]", node)


def _first_text(node: cst.Call) -> str | None:
    return literal(node.args[0].value) if node.args else None


def _updated_keys(node: cst.Call) -> Iterator[str | None]:
    for argument in node.args:
        if argument.keyword is not None:
            yield argument.keyword.value
        else:
            yield from _dictionary_keys(argument.value)


def _dictionary_keys(node: cst.BaseExpression) -> Iterator[str | None]:
    if not isinstance(node, cst.Dict):
        yield None
        return
    for element in node.elements:
        yield literal(element.key) if isinstance(element, cst.DictElement) else None
