"""What a finished test's row should say about its script."""

from sandbox.document import Document
from sandbox.guards.parse import parse, parse_template
from sandbox.policy.judge import judged
from sandbox.task_schema import Task


def warnings_of(document: Document, task: Task) -> tuple[str, ...]:
    """What the task's policy says about a script that was tested, in the order of its lines.

    It says so, and refuses nothing: the policy may have become stricter since the test was begun.
    """
    if task.policy is None:
        return ()
    return tuple(placed.text for placed in judged(parse_template(document.frame), parse(document), task.policy))
