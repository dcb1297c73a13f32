"""What the file of an attempt says."""

import pytest

from sandbox.errors import UsageError
from sandbox.selftest.attempt import SHELL, find, parse

TEXT = """\
# tries: to read a key
# region: attention
# stopped by: isolation
# past: policy, check
# on: linear
# a comment of the code
open("{{home}}/key")
"""


def test_a_header_is_read_and_the_rest_is_code() -> None:
    """The code begins behind the header, and a place's words are put into it."""
    attempt = parse("name", TEXT)
    assert (attempt.region, attempt.layer, attempt.past, attempt.on) == (
        "attention",
        "isolation",
        {"policy", "check"},
        "linear",
    )
    assert attempt.filled({"home": "/nowhere"}) == '# a comment of the code\nopen("/nowhere/key")\n'
    with pytest.raises(KeyError, match="home"):
        attempt.filled({})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# tries: nothing\n# region: attention\n", "lacks stopped by"),
        (TEXT.replace("isolation", "luck"), "unknown layer"),
        (TEXT.replace("policy, check", "isolation"), "unknown layer"),
    ],
)
def test_a_header_that_says_too_little_is_refused(text: str, reason: str) -> None:
    """A misspelt layer would make an attempt that nothing can satisfy, or that is past more than it may be."""
    with pytest.raises(ValueError, match=reason):
        parse("name", text)


def test_an_attempt_is_found_by_its_name() -> None:
    """An unknown name is answered with the nearest one."""
    assert find("fork_bomb").stopped_by == "isolation"
    assert find("rewritten_ledger").region == SHELL
    with pytest.raises(UsageError, match="Did you mean 'fork_bomb'"):
        find("fork_bom")
