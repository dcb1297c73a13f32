"""Which isolation a run gets: the strongest that works here, or what the operator said."""

import os
from functools import cache
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


@cache
def _problem(kind: str, path: str | None) -> str | None:
    """Why a kind cannot be used, found out once a process: to try bubblewrap out takes tens of milliseconds.

    `path` is where programs are looked for.
    """
    return _PROBLEMS[kind]()


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
        problem = _problem(kind, os.environ.get("PATH"))
        if problem is None:
            return kind
        problems.append(f"{kind}: {problem}")
    raise NoIsolation("; ".join(problems))
