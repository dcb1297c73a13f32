"""What a policy says about a script: it is refused, or there are warnings, each with its place.

Only what the agent added counts: whatever the template's own regions reach for stays allowed. Places cost libcst a
rendering of the whole file, so they are looked up only for what is left after that.
"""

from collections.abc import Sequence
from typing import NamedTuple

from libcst.metadata import MetadataWrapper, PositionProvider

from sandbox.document import Document
from sandbox.errors import PolicyRefused
from sandbox.guards.script import Script
from sandbox.policy.agent_code import agent_code, frozen_imports, module_scope
from sandbox.policy.binding import imported
from sandbox.policy.finding import Finding
from sandbox.policy.learning import learn
from sandbox.policy.reader import Reader
from sandbox.policy.rules import Rule
from sandbox.policy.verdicts import Verdicts
from sandbox.task_schema import Policy
from sandbox.view import pointed

_SHOWN = 5
"""So many further findings are named in a refusal."""


class Placed(NamedTuple):
    """A finding, with the line and column that it is at, both counted from 1."""

    finding: Finding
    line: int
    column: int

    @property
    def text(self) -> str:
        """One sentence for a list of warnings."""
        rule, subject = self.finding.rule, self.finding.subject
        return f"line {self.line}, column {self.column}: {subject} {rule.reason} ({rule.name})"


def check_policy(old: Script, new: Script, policy: Policy) -> tuple[str, ...]:
    """The warnings about a script, in the order of its lines. Raises PolicyRefused where it reaches too far.

    `old` is the template.
    """
    added = judged(old, new, policy)
    refused = [placed for placed in added if placed.finding.rule.refuses]
    if refused:
        raise _refusal(new.document, refused, policy)
    return tuple(placed.text for placed in added)


def judged(old: Script, new: Script, policy: Policy) -> list[Placed]:
    """What the regions of a script hold that those of the template, `old`, do not, in the order of its lines."""
    findings = _findings(new, policy)
    if not findings:
        return []
    theirs = _findings(old, policy)
    return _placed(new, [finding for finding in findings if finding.is_news_to(theirs)])


def _findings(script: Script, policy: Policy) -> list[Finding]:
    scope = module_scope(script)
    known = [full for node in frozen_imports(script) for _, _, full in imported(node)]
    code = list(agent_code(script, scope))
    learn(code)
    return Reader(Verdicts(policy, known), policy.environment).read(code)


def _placed(script: Script, findings: Sequence[Finding]) -> list[Placed]:
    """The findings in the order of the file, one where two of a line say the same."""
    if not findings:
        return []
    positions = MetadataWrapper(script.concrete, unsafe_skip_copy=True).resolve(PositionProvider)
    starts = [positions[finding.node].start for finding in findings]
    placed = [Placed(f, start.line, start.column + 1) for f, start in zip(findings, starts, strict=True)]
    once: dict[tuple[int, Rule, str], Placed] = {}
    for each in sorted(placed, key=lambda each: (each.line, each.column)):
        once.setdefault((each.line, each.finding.rule, each.finding.subject), each)
    return list(once.values())


def _refusal(document: Document, refused: Sequence[Placed], policy: Policy) -> PolicyRefused:
    first, others = refused[0], refused[1:]
    rule = first.finding.rule
    allowed = rule.instead.format(imports=", ".join(policy.imports), environment=", ".join(policy.environment))
    message = (
        f"The task's policy refuses line {first.line}, column {first.column}: {first.finding.subject} {rule.reason} "
        f"({rule.name}).\n{pointed(document, first.line, first.column)}\n{allowed}"
    )
    if others:
        named = [f"{each.finding.subject} (line {each.line}, {each.finding.rule.name})" for each in others[:_SHOWN]]
        more = f", and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        message += f"\nAlso refused: {', '.join(named)}{more}."
    return PolicyRefused(message, line=first.line, column=first.column)
