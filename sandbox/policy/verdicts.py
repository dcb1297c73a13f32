"""What the policy of one task says about a dotted name."""

import sys
from collections.abc import Iterable, Iterator

from sandbox.policy.rules import IMPORT, REFLECTION, TASK, TASK_WARNING, Rule
from sandbox.policy.vocabulary import HARMLESS, RULED
from sandbox.task_schema import Policy

BUILTINS = "builtins."
"""Begins the dotted name of what is bound nowhere in the script."""
SCRIPT = "__main__."
"""Begins the dotted name of what the read-only script defines at module level."""

_ORDINARY = {"signal", "code", "select", "time", "random", "resource", "queue", "io", "dis", "ast", "site"}
"""Modules whose names are ordinary words, which torch uses for something else: torch.select, torch.signal."""

_ALIASES = {"bltns": "builtins", "python_multiprocessing": "multiprocessing", "mp": "multiprocessing"}
"""What other modules call the modules that they import."""

_CLOSED = {*sys.stdlib_module_names, "numpy", "packaging"} - {"__future__"}
"""Libraries in which nothing private is of use to a model; that of torch has entries of its own."""


class Verdicts:
    """The vocabulary joined with a task's own lists."""

    def __init__(self, policy: Policy, known: Iterable[str] = ()):
        """`known`: modules that the read-only script imports; the task has chosen them, unless a rule is about them."""
        table: dict[str, Rule | None] = {name: rule for rule, names in RULED.items() for name in names.split()}
        chosen = [name for name in known if name not in table]
        at_hand = {name for name in table if "." not in name} | {_top(name) for name in (*policy.imports, *chosen)}
        table |= dict.fromkeys(HARMLESS.split())
        table = {name: rule for name, rule in table.items() if _refuses(rule) or _top(name) in at_hand}
        table |= dict.fromkeys(chosen)
        table |= dict.fromkeys((*policy.imports, *policy.allow))
        table |= dict.fromkeys(policy.warn, TASK_WARNING)
        table |= dict.fromkeys(policy.refuse, TASK)
        self._table, self._allow = table, policy.allow
        self._foreign = {name for name in table if "." not in name} - _ORDINARY

    def use(self, name: str) -> Rule | None:
        """The rule that reading `name` falls under; None when it may be read."""
        rules = [rule for path in self._paths(name) if (rule := self._of(path)) is not None]
        return next(filter(_refuses, rules), rules[0] if rules else None)

    def allowed(self, names: Iterable[str]) -> bool:
        """Whether the task itself allows one of these, or what they are below."""
        return any(name == own or name.startswith(f"{own}.") for name in names for own in self._allow)

    def importing(self, name: str) -> Rule | None:
        """The rule that importing `name` falls under; None when it, or something below it, may be used."""
        rule = self.use(name)
        return rule if _refuses(rule) and not self._holds_harmless(name) else None

    def _holds_harmless(self, name: str) -> bool:
        return any(other.startswith(f"{name}.") and not _refuses(rule) for other, rule in self._table.items())

    def _paths(self, name: str) -> Iterator[str]:
        """The name, and what it is when a module in its middle is taken for itself: torch.os.system is os.system."""
        yield name
        if name.startswith((BUILTINS, SCRIPT)):
            return
        parts = name.split(".")
        for start in range(1, len(parts)):
            if ".".join(parts[: start + 1]) in self._table:
                continue
            for module in {parts[start], parts[start].removeprefix("_")}:  # random._os
                if module in _ALIASES or module in self._foreign or (module in _ORDINARY and parts[0] in _CLOSED):
                    yield ".".join([_ALIASES.get(module, module), *parts[start + 1 :]])

    def _of(self, name: str) -> Rule | None:
        parts = name.split(".")
        ours = name.startswith((BUILTINS, SCRIPT))
        for end in range(len(parts), 0, -1):
            prefix = ".".join(parts[:end])
            if prefix in self._table and not (end == 1 < len(parts) and ours):
                return self._table[prefix] or self._private(parts[end:], parts[0])
        return None if ours else IMPORT

    def _private(self, rest: Iterable[str], library: str) -> Rule | None:
        private = any(part.startswith("_") and not part.endswith("__") for part in rest)
        return REFLECTION if private and library in _CLOSED else None


def _refuses(rule: Rule | None) -> bool:
    return rule is not None and rule.refuses


def _top(name: str) -> str:
    return name.partition(".")[0]
