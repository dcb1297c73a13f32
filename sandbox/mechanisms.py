"""The library of drop-in mechanisms, read from the docstrings of templates/attention and templates/embedding.

A docstring is a line `Title: summary.`, paragraphs, and the facts of harness/docstring_facts.py.
"""

import ast
import inspect
from dataclasses import dataclass
from pathlib import Path

from harness.docstring_facts import FACTS, LIMITS, PARAMETERS, read_facts
from sandbox.errors import TaskError, UsageError, nearest

REGIONS = ("attention", "embedding")
"""The folders of mechanisms, each named after the region that its files replace."""
DEVICES = ("cpu", "gpu")


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One file that replaces a region, and what is known of it."""

    key: str
    """The file's name without its ending, as in `linbench edit --from KEY`."""
    region: str
    """The region that it replaces: "attention" or "embedding"."""
    title: str
    summary: str
    formula: str
    state: str
    """Numbers that a layer keeps while decoding, in terms of T tokens, C channels and H heads."""
    cost: str
    """Operations of a layer over T tokens."""
    order: str
    """How it knows the order of tokens."""
    runs_on: tuple[str, ...]
    """Of "cpu" and "gpu"."""
    limits: str | None
    """On which of these machines it does not train, and what helps; None where it trains on all."""
    paper: str
    parameters: str | None
    """Why the model cannot have the parameters of the untouched one; None where it has them within 5 %."""
    source: str
    """The text that replaces the region."""
    path: Path

    @property
    def quadratic(self) -> bool:
        """Whether its cost grows with the square of T: a reference, where a task asks for less."""
        return self.cost.startswith("O(T^2")


def list_mechanisms(templates_dir: Path) -> list[Mechanism]:
    """All mechanisms by region and key. Raises TaskError where a file does not state its facts."""
    return [
        parse_mechanism(path.read_text(encoding="utf-8"), path)
        for region in REGIONS
        for path in sorted((templates_dir / region).glob("*.py"))
    ]


def find_mechanism(key: str, templates_dir: Path, region: str | None = None) -> Mechanism:
    """The mechanism called `key`, for one region where that is given. Raises UsageError with the nearest key."""
    fitting = [path for name in REGIONS if region in (None, name) for path in (templates_dir / name).glob("*.py")]
    found = next((path for path in fitting if path.stem == key), None)
    if found is None:
        what = f"mechanism {key!r} for the region {region!r}" if region else f"mechanism {key!r}"
        elsewhere = next((name for name in REGIONS if (templates_dir / name / f"{key}.py").is_file()), None)
        raise UsageError(
            f"no {what}. {nearest(key, sorted(path.stem for path in fitting))}",
            run=f"linbench edit --region {elsewhere} --from {key}" if elsewhere else "linbench mechanisms",
        )
    return parse_mechanism(found.read_text(encoding="utf-8"), found)


def parse_mechanism(source: str, path: Path) -> Mechanism:
    """The mechanism that a file holds. Raises TaskError where its docstring lacks a fact."""
    docstring = _docstring(source, path)
    title, colon, summary = docstring.partition("\n")[0].partition(": ")
    facts = read_facts(docstring)
    missing = [name for name in FACTS if name not in facts]
    if missing or not colon:
        lacking = ", ".join(missing) or "the opening line 'Title: summary.'"
        raise TaskError(f"{path}: the docstring of its class lacks {lacking}; it needs {', '.join(FACTS)}.")
    runs_on = tuple(facts["runs on"].split(", "))
    unknown = [device for device in runs_on if device not in DEVICES]
    if unknown:
        raise TaskError(f"{path}: 'runs on' names {', '.join(unknown)}; it may name {', '.join(DEVICES)}.")
    return Mechanism(
        key=path.stem,
        region=path.parent.name,
        title=title,
        summary=summary,
        formula=facts["formula"],
        state=facts["state"],
        cost=facts["cost"],
        order=facts["order"],
        runs_on=runs_on,
        limits=facts.get(LIMITS),
        paper=facts["paper"],
        parameters=facts.get(PARAMETERS),
        source=source,
        path=path,
    )


def _docstring(source: str, path: Path) -> str:
    classes = [node for node in ast.parse(source, filename=str(path)).body if isinstance(node, ast.ClassDef)]
    text = ast.get_docstring(classes[-1], clean=False) if classes else None
    if not text:
        raise TaskError(f"{path}: its last class has no docstring, which is where a mechanism states its facts.")
    return inspect.cleandoc(text)
