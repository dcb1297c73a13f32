"""What the policy of one task says about a dotted name."""

from collections.abc import Iterable, Iterator

from sandbox.policy.rules import IMPORT, TASK, TASK_WARNING, Rule
from sandbox.policy.vocabulary import HARMLESS, RULED
from sandbox.task_schema import Policy

BUILTINS = "builtins."
"""Begins the dotted name of what is bound nowhere in the script."""
SCRIPT = "__main__."
"""Begins the dotted name of what the read-only script defines at module level."""

_ORDINARY = {"signal", "code", "select", "time", "random", "resource", "queue", "io", "dis", "ast", "site"}
"""Modules whose names are ordinary words, which other modules use for something else: torch.select, torch.signal."""


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
            module = parts[start].removeprefix("_")  # random._os
            if module in self._foreign and ".".join(parts[: start + 1]) not in self._table:
                yield ".".join([module, *parts[start + 1 :]])

    def _of(self, name: str) -> Rule | None:
        parts = name.split(".")
        for end in range(len(parts), 0, -1):
            prefix = ".".join(parts[:end])
            if prefix in self._table and not (end == 1 < len(parts) and name.startswith((BUILTINS, SCRIPT))):
                return self._table[prefix]
        return None if name.startswith((BUILTINS, SCRIPT)) else IMPORT


def _refuses(rule: Rule | None) -> bool:
    return rule is not None and rule.refuses


def _top(name: str) -> str:
    return name.partition(".")[0]
