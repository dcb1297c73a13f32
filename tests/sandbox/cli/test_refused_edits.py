"""What `linbench edit` refuses, and how it says so; the script stays as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Linbench = Callable[..., Any]

COMMENT = "    # weights\n"

pytestmark = pytest.mark.usefixtures("started")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--range", "70-33"], 2, "Lines 70..33 are reversed"),
        (["--range", "33-99999"], 3, "Lines 33..99999 exceed the editable range"),
        (["--range", "0-5"], 3, "The file has 438 lines."),
        (["--range", "60-90"], 3, "Lines 60..90 exceed the editable range"),
        (["--range", "1"], 3, "Lines 1..1 exceed the editable range"),
        (["--range", "abc"], 2, "'abc' is not a range of lines such as 33-70"),
        (["--range", "33-"], 2, "'33-' is not a range"),
        (["--delete", "33-99"], 2, "--delete takes no --content"),
        (
            ["--region", "attn"],
            2,
            "no region 'attn'. Did you mean 'attention'? There are: attention, block, overrides.",
        ),
        (["--after", "10"], 3, "Cannot insert after line 10"),
        (["--after", "-5"], 3, "Cannot insert after line -5"),
        (["--old", "x = "], 2, "--old and --new go together"),
        (["--range", "33-70", "--region", "block"], 2, "These do not go together: --range, --region"),
        ([], 2, "No operation was given"),
        (["--range", "33-70", "--content-file", "a"], 2, "Give one of --content, --content-file and --from"),
    ],
)
def test_what_cannot_be_edited_is_refused_and_changes_nothing(
    linbench: Linbench, arguments: list[str], code: int, said: str
) -> None:
    """Each wrong operation has its exit code and words, gives a next command, and leaves revision 0."""
    reply = linbench("edit", *arguments, "--content", "x = 1")
    assert (reply.code, said in reply.out) == (code, True), reply.out
    assert "\nhint: linbench " in reply.out
    assert linbench("status", "--json").json["revision"] == 0


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"x = '\xff'\n", 3, "stdin is not UTF-8: byte 5 (its line 1) is 0xff"),
        (b"x = 1\x00\n", 3, "a NUL character at line 1, column 6"),
        (b"#" * 10_000_000, 3, "The content is 10,000,000 bytes; the limit is 1,048,576 bytes"),
        (b"x = 1\ry = 2\n", 3, "a lone carriage return"),
        (b"\xef\xbb\xbfx = 1\n", 3, "a byte order mark"),
        (b"class CausalSelfAttention:\n    def forward(self, x):\n\treturn x\n        return x\n", 3, "line 35"),
        (b"class CausalSelfAttention:\n    def forward(self, x:\n", 3, "line "),
        (b"x = 1\n", 3, "CausalSelfAttention"),
    ],
)
def test_content_that_no_script_can_hold_is_refused(
    linbench: Linbench, started: Path, content: bytes, code: int, said: str
) -> None:
    """Bytes that are no text, too many of them, or text that is no Python never reach the script."""
    before = started.read_bytes()
    reply = linbench("edit", "--range", "33-70", stdin=content)
    assert reply.code == code
    assert said in reply.out
    assert "\nhint: linbench " in reply.out
    assert started.read_bytes() == before
    assert linbench("status", "--json").json["revision"] == 0


def test_without_content_no_line_is_taken_out(spawn: Callable[..., Any], started: Path) -> None:
    """With /dev/null as its stdin, as an agent's shell may have it, `edit --range` asks for content."""
    before = started.read_bytes()
    process = spawn("edit", "--range", "34-70")
    out, _ = process.communicate()
    assert process.returncode == 2
    assert out.startswith(b"ERROR: No content: give --content TEXT")
    assert started.read_bytes() == before


def test_content_without_end_is_read_to_a_limit(linbench: Linbench) -> None:
    """A file that never ends is refused for its size and does not fill the memory."""
    reply = linbench("edit", "--range", "246-246", "--content-file", "/dev/zero")
    assert reply.code == 3
    assert "the limit is" in reply.out


def test_an_edit_of_a_script_that_moved_on_is_refused(linbench: Linbench) -> None:
    """--expect lets an edit through at its revision only."""
    edit = ["edit", "--range", "246-246", "--content", COMMENT, "--expect"]
    assert linbench(*edit, "0").code == 0
    reply = linbench(*edit, "0")
    assert reply.code == 3
    assert "The script is at revision 1, not 0" in reply.out


def test_code_that_reaches_too_far_is_refused_in_every_way_in(linbench: Linbench, started: Path) -> None:
    """Its exit code is 3, with the line, a caret and the next command; also when staged, dry, or by another editor."""
    edit = ["edit", "--old", "x = x + self.attn(self.ln_1(x))", "--new", "x = torch.load('ckpt.pt')"]
    for option in ([], ["--partial"], ["--dry-run"]):
        reply = linbench(*edit, *option)
        assert reply.code == 3
        assert reply.out.startswith("ERROR: The task's policy refuses line 98, column 13: torch.load reads or writes")
        assert "\n    98          x = torch.load('ckpt.pt')\n                    ^\n" in reply.out
        assert "\nhint: linbench edit --range 88-100\n" in reply.out
        error = linbench(*edit, *option, "--json").json["error"]
        assert (error["kind"], error["line"], error["column"]) == ("PolicyRefused", 98, 13)
    started.write_text(started.read_text().replace("x = x + self.attn(self.ln_1(x))", "x = open('val.bin')"))
    reply = linbench("show")
    assert reply.code == 3
    assert "was changed outside of linbench, and the change is refused. The task's policy refuses line 98" in reply.out
    assert linbench("undo").code == 0
    assert linbench("status", "--json").json["revision"] == 0


def test_an_unlawful_change_by_another_editor_is_refused_and_kept(linbench: Linbench, started: Path) -> None:
    """A change outside the regions stops `show`, `edit`, `check` and `test`; `undo` moves it aside."""
    template = started.read_text()
    changed = template.replace("import torch\n", "import torch  # mine\n", 1)
    started.write_text(changed)
    for command in (["show"], ["edit", "--range", "246-246", "--content", COMMENT], ["check"], ["test"], ["diff"]):
        reply = linbench(*command)
        assert reply.code == 3
        assert "was changed outside of linbench" in reply.out
        assert "hint: linbench undo" in reply.out
        assert started.read_text() == changed
    reply = linbench("undo")
    assert reply.code == 0
    assert "The change made outside of linbench was moved to" in reply.out
    assert started.read_text() == template
    (kept,) = started.parent.glob("*.unsaved-*")
    assert kept.read_text() == changed


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("{'learning_rat': 1e-3}", "learning_rat"),
        ("{'learning_rate': 1e-3 * 2}", "learning_rate"),
        ("{'learning_rate': float('nan')}", "learning_rate"),
        ("{'learning_rate': '1e-3'}", "learning_rate"),
        ("{'learning_rate': -1e-3}", "learning_rate"),
        ("{'learning_rate': 1e-3, 'learning_rate': 2e-3}", "learning_rate"),
        ("dict(learning_rate=1e-3)", "CONFIG_OVERRIDES"),
    ],
)
def test_overrides_that_are_no_plain_allowed_numbers_are_refused(linbench: Linbench, overrides: str, said: str) -> None:
    """Unknown and doubled keys, expressions, NaN, strings, negatives and calls are refused, with the line."""
    reply = linbench("edit", "--range", "248-248", "--content", f"    CONFIG_OVERRIDES = {overrides}", "--json")
    assert reply.code == 3
    assert said in reply.json["error"]["message"]
    assert reply.json["error"]["line"] == 248


def test_edits_after_the_session_is_closed_are_refused(
    linbench: Linbench, record_test: Callable[[float | None], Any], started: Path
) -> None:
    """A closed session's script can be read and not changed, also not by another editor."""
    session = record_test(5.5)
    assert linbench("submit", "1").code == 0
    before = started.read_text()
    edits = [["edit", "--range", lines, "--content", COMMENT] for lines in ("246-246", "1-2")]
    for command in (*edits, ["undo"], ["redo"], ["reset"], ["test"]):
        reply = linbench(*command, "--session", session.name)
        assert reply.code == 2
        assert "is closed: test 1 was submitted" in reply.out
        assert "hint: linbench start" in reply.out
    assert linbench("show", "--session", session.name).code == 0
    assert linbench("diff").code == 0
    assert started.read_text() == before
