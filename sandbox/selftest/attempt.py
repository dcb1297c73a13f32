"""An attempt as its file says it: what it tries, which layer must stop it, and the code.

The files end in .py.txt, so that nothing compiles, imports or runs them by accident. `{{name}}` in the code stands for
what only a place knows (sandbox.selftest.place), such as the path of a file that it must not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import UsageError, nearest

FOLDER = Path(__file__).parent / "attempts"
SUFFIX = ".py.txt"

SECONDS = 120
"""A slow machine that does other things needs them."""

SHELL = "shell"
"""In the place of a region: code that the agent runs outside of the sandbox, in the session's folder."""

TEMPLATE = "template"
"""In the place of a mechanism: the untouched code."""

OR = " or "

_HEADER = re.compile(r"# (tries|like|task|seconds|region|stopped by|past|on): (.+)")
_LAYER = re.compile(r"guards|policy|check:[a-z ]+|isolation|scoring(:[a-z_]+)?|ledger|nothing")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One hostile or broken edit."""

    name: str
    tries: str
    """What it is after, completing "it tries"."""
    region: str
    """Which region its code replaces, or SHELL."""
    stopped_by: str
    """guards, policy, check:NAME, isolation, scoring, scoring:REASON or ledger; "nothing" for an honest edit.

    "A or B" where it depends on the kind of isolation."""
    code: str
    task: str | None = None
    """Id of a shipped task; None means the default one."""
    past: frozenset[str] = frozenset()
    """Layers that are switched off, so that the wall behind them is tried by itself: policy, check."""
    like: str | None = None
    """The attempt of which it is a variation, so that a quick run may do with that one."""
    seconds: int = SECONDS
    """Wall time that any one wait for its code may take; less for one that waits itself."""
    on: str | None = None
    """What its region holds before its own code: a drop-in mechanism, or TEMPLATE; None means nothing."""

    @property
    def layer(self) -> str:
        """The first layer, without the name or reason behind it."""
        return self.stopped_by.split(OR)[0].partition(":")[0]

    @property
    def only_edits(self) -> bool:
        """Whether it has to be stopped before anything runs."""
        return self.layer in ("guards", "policy")

    def filled(self, words: Mapping[str, object]) -> str:
        """The code with the words of a place put in. Raises KeyError for a word that no place knows."""
        return re.sub(r"\{\{(\w+)\}\}", lambda match: str(words[match[1]]), self.code)


def attempts() -> list[Attempt]:
    """All attempts that ship, by name."""
    return [_read(path) for path in sorted(FOLDER.glob(f"*{SUFFIX}"))]


def find(name: str) -> Attempt:
    """One attempt. Raises UsageError with the nearest name."""
    path = FOLDER / f"{name}{SUFFIX}"
    names = [attempt.name for attempt in attempts()]
    if name not in names:
        raise UsageError(f"no attempt {name!r}. {nearest(name, names)}", run="linbench selftest")
    return _read(path)


def _read(path: Path) -> Attempt:
    return parse(path.name.removesuffix(SUFFIX), path.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Attempt:
    """An attempt from its file's text. Raises ValueError where the header is not what it has to be."""
    said: dict[str, str] = {}
    lines = text.splitlines(keepends=True)
    while lines and (match := _HEADER.fullmatch(lines[0].rstrip("\n"))):
        said[match[1]] = match[2]
        del lines[0]
    missing = {"tries", "region", "stopped by"} - said.keys()
    if missing:
        raise ValueError(f"{name}: the header lacks {', '.join(sorted(missing))}")
    past = frozenset(filter(None, said.get("past", "").replace(",", " ").split()))
    if not all(map(_LAYER.fullmatch, said["stopped by"].split(OR))) or past - {"policy", "check"}:
        raise ValueError(f"{name}: the header names an unknown layer")
    return Attempt(
        name=name,
        tries=said["tries"],
        region=said["region"],
        stopped_by=said["stopped by"],
        code="".join(lines),
        task=said.get("task"),
        past=past,
        like=said.get("like"),
        seconds=int(said.get("seconds", SECONDS)),
        on=said.get("on"),
    )
