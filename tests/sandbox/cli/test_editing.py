"""`linbench show`, `edit`, `undo`, `redo`, `reset` and `diff`, as an agent types them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Linbench = Callable[..., Any]

COMMENT = "    # weights\n"

pytestmark = pytest.mark.usefixtures("started")


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
    assert linbench("status", "--json").json["revision"] == 0


def test_an_edit_that_changes_nothing_costs_no_revision(linbench: Linbench, started: Path) -> None:
    """The lines that are there already are answered as replaced, with a note, and `undo` takes back the edit before."""
    template = started.read_text()
    for revision in (1, 1):
        reply = linbench("edit", "--range", "246-246", "--content", COMMENT)
        assert reply.out.startswith("OK: Replaced lines 246..246 with 1 line(s)")
        assert linbench("status", "--json").json["revision"] == revision
    assert "\nThese lines were there already: the script stays at revision 1.\n" in reply.out
    linbench("edit", "--after", "246", "--content", "")
    assert linbench("undo").code == 0
    assert started.read_text() == template


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
    assert linbench("status", "--json").json["budget"]["left"] == 3
    assert linbench("status", "--json").json["whole"] is False
    last = linbench("edit", "--old", "(self, x:\n", "--new", "(self, x):\n        return x\n", "--json")
    assert (last.code, last.json["whole"]) == (0, True)


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
    assert linbench("status", "--json").json["revision"] == 1
    assert linbench("undo").code == 0
    assert started.read_text() == template


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
