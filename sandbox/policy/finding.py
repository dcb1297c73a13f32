"""What the reader finds: a rule, what falls under it, and where."""

from collections.abc import Iterable
from typing import NamedTuple

import libcst as cst

from sandbox.policy.rules import IMPORT, Rule
from sandbox.policy.verdicts import BUILTINS, SCRIPT


class Finding(NamedTuple):
    """One thing in the agent's code that a rule is about."""

    rule: Rule
    subject: str
    """What it is about, as a reader would call it: torch.load, open, os.environ['HOME']."""
    node: cst.CSTNode
    """Where it is."""

    @property
    def keys(self) -> list[tuple[str, str]]:
        """The rule with the subject, and with each beginning of it: sqlite3 for sqlite3.connect."""
        parts = self.subject.split(".")
        return [(self.rule.name, ".".join(parts[:end])) for end in range(len(parts), 0, -1)]

    def is_news_to(self, others: Iterable["Finding"]) -> bool:
        """Whether none of `others` is about the same, or, for a module that may not be imported, about that module."""
        known = {key for other in others for key in (other.keys if self.rule is IMPORT else other.keys[:1])}
        return not known.intersection(self.keys)


def spoken(name: str) -> str:
    """A dotted name without what only this package puts in front of it."""
    return name.removeprefix(BUILTINS).removeprefix(SCRIPT)
