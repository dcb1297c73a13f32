"""Which isolation a run gets: the strongest that works here, or what the operator said."""

import os
from typing import Literal

from harness.isolation import bubblewrap, landlock

Kind = Literal["bubblewrap", "landlock", "none"]
KINDS: tuple[Kind, ...] = ("bubblewrap", "landlock", "none")
"""The strongest first."""

VARIABLE = "LINBENCH_ISOLATION"
"""The operator's word where no command says otherwise."""

_PROBLEMS = {"bubblewrap": bubblewrap.problem, "landlock": landlock.problem}


class NoIsolation(RuntimeError):
    """No isolation of the kind that is asked for works on this machine; the message says why."""


def choose(asked: str | None = None) -> Kind:
    """The isolation for a run: as asked, else as the operator's variable says, else the strongest that works.

    Raises NoIsolation.
    """
    wanted = asked or os.environ.get(VARIABLE) or "auto"
    if wanted not in (*KINDS, "auto"):
        raise NoIsolation(f"there is no isolation {wanted!r}. There are: {', '.join(KINDS)}")
    if wanted == "none":
        return "none"
    problems = []
    for kind in ("bubblewrap", "landlock") if wanted == "auto" else (wanted,):
        problem = _PROBLEMS[kind]()
        if problem is None:
            return kind
        problems.append(f"{kind}: {problem}")
    raise NoIsolation("; ".join(problems))
