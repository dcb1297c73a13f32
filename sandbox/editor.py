"""One edit from operation to reply: clean the content, apply, guard."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sandbox.content import clean_content
from sandbox.document import Document
from sandbox.errors import EditRefused, PolicyRefused
from sandbox.guards import check
from sandbox.operations import Insert, Load, Operation, Replace, Substitute, apply, suggestion
from sandbox.schema import OverrideKey
from sandbox.task_schema import Policy
from sandbox.view import render_success


@dataclass(frozen=True, slots=True)
class EditReply:
    """An edit that was made."""

    document: Document
    """The script after it."""
    summary: str
    """The sentence that says what was done."""
    notes: tuple[str, ...]
    """What was changed in the content, what a partial edit still lacks, and what the policy warns of."""
    whole: bool
    """Whether the script passes every guard; a partial edit may leave it False."""
    problem: EditRefused | None
    """What a partial edit still lacks; None when whole."""
    warnings: tuple[str, ...] = ()
    """What the policy warns of in the script, when it is whole."""

    @property
    def text(self) -> str:
        """The reply as plain text."""
        return render_success(self.document, self.summary, self.notes)


def edit(
    document: Document,
    operation: Operation,
    overrides: Mapping[str, OverrideKey],
    partial: bool = False,
    policy: Policy | None = None,
) -> EditReply:
    """Carry out one operation and check its result.

    With `partial`, a script that is not whole yet is accepted and said to be so; one that can be read and breaks the
    policy is refused even then, for no later edit could make that part of it lawful. Raises EditRefused (with line,
    column and the command to run next where there is one) or UsageError; the document is unchanged in either case.
    """
    try:
        cleaned, notes = _cleaned(operation)
    except EditRefused as error:
        error.run = error.run or "linbench show"
        raise
    edited = apply(document, cleaned)
    problem, warnings = _judged(edited.document, overrides, policy)
    if problem is not None and (not partial or isinstance(problem, PolicyRefused)):
        problem.run = problem.run or _retry(document, edited.document)
        raise problem
    if problem is not None:
        notes = (*notes, f"Staged; not whole yet: {problem.message}")
    notes = (*notes, *(f"Warning: {warning}." for warning in warnings))
    return EditReply(edited.document, edited.summary, notes, problem is None, problem, warnings)


def _judged(
    document: Document, overrides: Mapping[str, OverrideKey], policy: Policy | None
) -> tuple[EditRefused | None, tuple[str, ...]]:
    """Why a script is not whole, None when it is; and what the policy warns of in it."""
    try:
        return None, check(document, overrides, policy)
    except EditRefused as error:
        return error, ()


def _cleaned(operation: Operation) -> tuple[Operation, tuple[str, ...]]:
    match operation:
        case Replace() | Insert():
            text, notes = clean_content(operation.content)
            return replace(operation, content=text), notes
        case Load():
            text, notes = clean_content(operation.text)
            return Load(text), notes
        case Substitute():
            return _cleaned_substitute(operation)
    return operation, ()


def _cleaned_substitute(operation: Substitute) -> tuple[Operation, tuple[str, ...]]:
    text, notes = clean_content(operation.new)
    if not operation.new.endswith("\n"):
        text = text.removesuffix("\n")
    return Substitute(operation.old.replace("\r\n", "\n"), text), notes


def _retry(before: Document, after: Document) -> str:
    """The command that edits the first region that the refused edit changed."""
    changed = [n for n, (a, b) in enumerate(zip(before.contents, after.contents, strict=True)) if a != b]
    return suggestion(before, changed[0] if changed else 0)
