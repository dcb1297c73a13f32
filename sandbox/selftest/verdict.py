"""Who stopped an attempt, read from how it went and from what it brought about. Pure."""

from collections.abc import Sequence

import msgspec

from sandbox.selftest.attempt import OR, Attempt
from sandbox.selftest.course import Course


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of an attempt."""

    name: str
    expected: str
    """As the attempt's `stopped_by`."""
    stopped_by: str | None
    """The layer that did; None where none did."""
    said: str
    """The reply that ended it, or what got out."""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the right layer stopped it, or an honest edit went through."""
        return self.stopped_by in self.expected.split(OR)


def judge(attempt: Attempt, course: Course, effects: Sequence[str], acted: bool) -> Verdict:
    """The verdict on one attempt.

    A deed that is not refused counts as stopped where it is known to have been done and nothing came of it: such a run
    ends well, with a result of the evaluator's own.
    """
    if effects:
        return Verdict(attempt.name, attempt.stopped_by, None, "; ".join(effects))
    if course.layer is not None:
        return Verdict(attempt.name, attempt.stopped_by, course.layer, course.said)
    if attempt.stopped_by == "nothing":
        return Verdict(attempt.name, attempt.stopped_by, "nothing", course.said)
    contained = attempt.stopped_by in ("isolation", "scoring")
    if contained and acted:
        return Verdict(attempt.name, attempt.stopped_by, attempt.stopped_by, f"{course.said}; nothing came of the deed")
    return Verdict(attempt.name, attempt.stopped_by, None, course.said)
