"""What a row says about the script of its test."""

from collections.abc import Callable

from msgspec import structs

from sandbox.document import Document
from sandbox.policy.warnings import warnings_of
from sandbox.tasks import LoadedTask

Scripted = Callable[..., Document]


def test_the_warnings_of_a_tested_script_are_listed(scripted: Scripted, linear_task: LoadedTask) -> None:
    """Each in a sentence, by line; a script from before a rule is described, not refused; no policy, no warnings."""
    document = scripted("forward", "time.sleep(0)\ny = open('a')")
    line = next(n for n, text in enumerate(document.lines, 1) if "time.sleep" in text)
    assert warnings_of(document, linear_task.task) == (
        f"line {line}, column 9: time.sleep makes the code depend on the time that it takes (clock)",
        f"line {line + 1}, column 13: open reaches files (file)",
    )
    assert warnings_of(scripted("init", "pass"), linear_task.task) == ()
    assert warnings_of(document, structs.replace(linear_task.task, policy=None)) == ()
