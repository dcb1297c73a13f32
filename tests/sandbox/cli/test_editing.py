"""`linbench show`, `edit`, `undo`, `redo`, `reset` and `diff`, as an agent types them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Linbench = Callable[..., Any]

COMMENT = "    # weights\n"


@pytest.fixture(autouse=True)
def started(linbench: Linbench, runs: Path) -> Path:
    """A session is open; the path of its workspace file."""
    return Path(linbench("start", "--json").json["script"])


def facts(linbench: Linbench) -> dict[str, Any]:
    return dict(linbench("status", "--json").json)


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
    assert facts(linbench)["revision"] == 0


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
    assert facts(linbench)["revision"] == 0


def test_windows_line_ends_are_turned_and_said(linbench: Linbench, started: Path) -> None:
    """CRLF content goes in with LF, and the reply says so."""
    reply = linbench("edit", "--range", "246-246", stdin=COMMENT.replace("\n", "\r\n"))
    assert reply.code == 0
    assert "CRLF" in reply.out
    assert b"\r" not in started.read_bytes()


def test_content_comes_from_an_option_a_file_or_stdin(linbench: Linbench, started: Path, tmp_path: Path) -> None:
    """The same content by any of the four ways makes the same script."""
    (tmp_path / "new.py").write_text(COMMENT)
    texts = set()
    for way in (
        ["--content", COMMENT],
        ["--content-file", tmp_path / "new.py"],
        ["--content-file", "-"],
        [],
    ):
        assert linbench("edit", "--range", "246-246", *way, stdin=COMMENT).code == 0
        texts.add(started.read_text())
    assert len(texts) == 1
    for missing in (tmp_path / "nothing.py", tmp_path):
        reply = linbench("edit", "--range", "246-246", "--content-file", missing)
        assert reply.code == 2
        assert f"{missing} cannot be read" in reply.out


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


def test_every_operation_and_its_way_back(linbench: Linbench, started: Path, tmp_path: Path) -> None:
    """Replace, insert, delete, substitute and load each make one revision, and undo takes all of them back."""
    template = started.read_text()
    whole = tmp_path / "whole.py"
    whole.write_text(template.replace("CONFIG_OVERRIDES = {}", 'CONFIG_OVERRIDES = {"warmup_iters": 9}'))
    operations = [
        ["--range", "246-246", "--content", COMMENT],
        ["--region", "overrides", "--content", "    CONFIG_OVERRIDES = {'min_lr': 1e-5}"],
        ["--after", "245", "--content", COMMENT],
        ["--delete", "246-246"],
        ["--old", "1e-5", "--new", "2e-5"],
        ["--file", whole],
    ]
    for number, operation in enumerate(operations, 1):
        reply = linbench("edit", *operation, "--json")
        assert (reply.code, reply.json["revision"]) == (0, number), reply.out
        assert reply.json["whole"] is True
    assert started.read_text() == whole.read_text()
    assert linbench("undo", len(operations)).code == 0
    assert started.read_text() == template
    assert linbench("undo").code == 2
    assert linbench("redo", 3).code == 0
    assert linbench("reset").code == 0
    assert started.read_text() == template
    assert linbench("undo").code == 0
    assert COMMENT in started.read_text()
    assert linbench("undo", "0").code == 2


def test_a_dry_run_answers_and_changes_nothing(linbench: Linbench, started: Path) -> None:
    """--dry-run gives the reply of the edit, new ranges included, and of its refusal, and leaves the script alone."""
    before = started.read_bytes()
    reply = linbench("edit", "--after", "246", "--content", COMMENT, "--dry-run")
    assert reply.code == 0
    assert "Editable range: 33–70, 88–100, 246–249." in reply.out
    assert "Dry run: nothing was changed." in reply.out
    assert linbench("edit", "--range", "33-70", "--content", "x", "--dry-run").code == 3
    assert started.read_bytes() == before
    assert facts(linbench)["revision"] == 0


def test_an_edit_of_a_script_that_moved_on_is_refused(linbench: Linbench) -> None:
    """--expect lets an edit through at its revision only."""
    edit = ["edit", "--range", "246-246", "--content", COMMENT, "--expect"]
    assert linbench(*edit, "0").code == 0
    reply = linbench(*edit, "0")
    assert reply.code == 3
    assert "The script is at revision 1, not 0" in reply.out


def test_a_partial_edit_is_staged_and_the_rest_waits_for_it(linbench: Linbench) -> None:
    """--partial accepts a script that is not whole, which `check` and `test` refuse at no cost until it is."""
    content = "class CausalSelfAttention(nn.Module):\n    def forward(self, x:\n"
    assert linbench("edit", "--range", "33-70", "--content", content).code == 3
    reply = linbench("edit", "--range", "33-70", "--content", content, "--partial", "--json")
    assert (reply.code, reply.json["whole"]) == (0, False)
    assert any("not whole yet" in note for note in reply.json["notes"])
    for command in ("check", "test"):
        refused = linbench(command)
        assert refused.code == 3
        assert "line " in refused.out
    assert facts(linbench)["budget"]["left"] == 3
    assert facts(linbench)["whole"] is False
    last = linbench("edit", "--old", "(self, x:\n", "--new", "(self, x):\n        return x\n", "--json")
    assert (last.code, last.json["whole"]) == (0, True)


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
    assert facts(linbench)["revision"] == 0


def test_what_the_policy_warns_of_is_said_and_does_not_stop_an_edit(linbench: Linbench) -> None:
    """Setting Triton's cache is an edit with a note, which --json lists among the warnings."""
    line = "import os; os.environ.setdefault('TRITON_CACHE_DIR', '/tmp/triton')"
    said = "line 34, column 12: os.environ[TRITON_CACHE_DIR] is a setting that the harness makes itself"
    reply = linbench("edit", "--after", "33", "--content", line, "--dry-run")
    assert (reply.code, f"\nWarning: {said}" in reply.out) == (0, True)
    facts = linbench("edit", "--after", "33", "--content", line, "--json").json
    assert facts["whole"] is True
    assert len(facts["warnings"]) == 1
    assert facts["warnings"][0].startswith(said)


def test_a_change_by_another_editor_is_adopted(linbench: Linbench, started: Path) -> None:
    """A lawful change of the workspace file becomes one edit, which `undo` takes back."""
    template = started.read_text()
    started.write_text(template.replace("CONFIG_OVERRIDES = {}", "CONFIG_OVERRIDES = {'min_lr': 1e-5}"))
    assert "+    CONFIG_OVERRIDES = {'min_lr': 1e-5}" in linbench("diff").out
    assert facts(linbench)["revision"] == 1
    assert linbench("undo").code == 0
    assert started.read_text() == template


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


def test_show_marks_what_is_read_only(linbench: Linbench) -> None:
    """`show --all` numbers every line and marks those outside the regions; a region or range shows only that."""
    lines = linbench("show", "--all").out.splitlines()[1:]
    assert len(lines) == 438
    assert [number for number, line in enumerate(lines, 1) if line[7:8] != "|"] == [
        *range(33, 71),
        *range(88, 101),
        *range(246, 249),
    ]
    assert len(linbench("show", "--region", "overrides").out.splitlines()) == 4
    assert linbench("show", "--range", "1-3").out.splitlines()[1].startswith("     1 |")
    assert linbench("show", "--range", "436-999").code == 0
    for wrong in (["--range", "900-999"], ["--range", "9-3"], ["--range", "x"], ["--region", "blok"]):
        reply = linbench("show", *wrong)
        assert reply.code == 2
        assert "\nhint: linbench show" in reply.out


def test_diff_compares_with_the_template_or_a_test(linbench: Linbench) -> None:
    """`diff` is empty on an untouched script and names what it compares with; of an unknown test it says so."""
    assert linbench("diff").out == "No difference from the template.\n"
    linbench("edit", "--range", "246-246", "--content", COMMENT)
    out = linbench("diff").out
    assert out.startswith("--- template/nanoGPT/custom_pretrain.py\n+++ now/nanoGPT/custom_pretrain.py\n")
    assert "\n+    # weights\n" in out
    reply = linbench("diff", "--from", "4")
    assert reply.code == 2
    assert "There is no test 4" in reply.out


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


def test_the_first_edit_opens_a_session_and_says_so(
    linbench: Linbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a session, `edit` opens one on the default task; stderr says which, stdout stays the reply."""
    monkeypatch.setenv("LINBENCH_RUNS", str(tmp_path / "other"))
    reply = linbench("edit", "--range", "246-246", "--content", COMMENT)
    assert reply.code == 0
    assert reply.out.startswith("OK: Replaced lines 246..246 with 1 line(s)")
    (session,) = [path.name for path in (tmp_path / "other").iterdir() if path.is_dir()]
    assert reply.err == f"linbench: opened session {session} on the task llm-pretrain-linear-attention.\n"
    assert linbench("undo", "--session", session).code == 0
