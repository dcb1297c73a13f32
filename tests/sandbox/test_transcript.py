"""A published session of a real agent, replayed through the command line: every range and total is as published."""

from collections.abc import Callable
from typing import Any

Linbench = Callable[..., Any]

FILE = "nanoGPT/custom_pretrain.py"


def attention(lines: int) -> str:
    """A lawful attention region of so many lines."""
    head = ["# rewritten", "class CausalSelfAttention(nn.Module):", "    def __init__(self, config):"]
    body = ["        super().__init__()", "", "    def forward(self, x):"]
    filler = [f"        # step {number}" for number in range(lines - len(head) - len(body) - 1)]
    return "\n".join([*head, *body, *filler, "        return x"]) + "\n"


OVERRIDES = "    # a higher rate\n    # suits it\n    CONFIG_OVERRIDES = {'learning_rate': 1e-3}\n"


def test_the_published_session_replays_line_for_line(linbench: Linbench) -> None:
    """Four edits of a published transcript give its ranges, totals and wording."""
    linbench("start")
    session = [
        ("33-70", attention(47), "33..70 with 47", "33–79, 97–109, 255–257", 447),
        ("255-257", OVERRIDES, "255..257 with 3", "33–79, 97–109, 255–257", 447),
        ("33-79", attention(55), "33..79 with 55", "33–87, 105–117, 263–265", 455),
        ("33-87", attention(57), "33..87 with 57", "33–89, 107–119, 265–267", 457),
    ]
    for lines, content, said, ranges, total in session:
        reply = linbench("edit", "--range", lines, stdin=content)
        assert reply.code == 0, reply.out
        first, blank, head, *view = reply.out.splitlines()
        assert first == f"OK: Replaced lines {said} line(s) in {FILE}. Editable range: {ranges}."
        assert blank == ""
        assert head == f"[Current file: {FILE} | editable: {ranges} | total: {total} lines]"
        assert view[0].split() == ["33", "#", "rewritten"]


def test_the_view_leaves_out_the_middle_of_a_long_region(linbench: Linbench) -> None:
    """Of 47 lines the reply shows three, `... (41 more lines) ...` and three; `...` stands between regions."""
    linbench("start")
    view = linbench("edit", "--range", "33-70", stdin=attention(47)).out.splitlines()[3:]
    assert view[3] == "       ... (41 more lines) ..."
    assert view[7] == "       ..."
    assert [line.split()[0] for line in view] == [
        *("33", "34", "35", "...", "77", "78", "79", "..."),
        *("97", "98", "99", "...", "107", "108", "109", "..."),
        *("255", "256", "257"),
    ]


def test_a_refusal_names_the_editable_lines_and_the_command_to_run_next(linbench: Linbench) -> None:
    """Lines outside the regions are refused in the published words, and the script stays as it was."""
    linbench("start")
    before = linbench("show", "--all").out
    reply = linbench("edit", "--range", "30-40", stdin="x = 1\n")
    assert reply.code == 3
    error, hint = reply.out.split("\n\n")[:2]
    assert error == ("ERROR: Lines 30..40 exceed the editable range. You may only edit lines 33–70, 88–100, 246–248.")
    assert hint == "hint: linbench edit --range 33-70"
    assert linbench("show", "--all").out == before
