"""Every command that the documentation shows is one that the command line takes; the README's session really runs."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from sandbox.cli.app import app
from sandbox.paths import templates_dir

Linbench = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tasks/*/*.md"), ROOT / "Makefile"])

COMMAND_LINE = re.compile(r"^(?:\$ |    |\t\$\(BIN\)/)(linbench .*)$", re.MULTILINE)
INLINE = re.compile(r"`(linbench [^`]+)`")
PLACEHOLDERS = {"N": "1", "A": "1", "B": "2"}


def commands_of(page: Path, form: re.Pattern[str]) -> list[str]:
    """The commands of a page: of its console and indented blocks, or of its running text."""
    return [match[1] for match in form.finditer(page.read_text())]


def words_of(command: str) -> list[str]:
    """What follows `linbench`, without comments and optional parts, with numbers in the place of placeholders."""
    required = re.sub(r"\[[^\]]*\]", "", command)
    return [PLACEHOLDERS.get(word, word) for word in shlex.split(required, comments=True)[1:]]


def parse(words: list[str], *, may_be_name: bool = False) -> None:
    """Let the real parser read a command line, without running it. Raises what the parser raises.

    `may_be_name`: running text may call a command by its name alone, where it has arguments or further commands.
    """
    if words in (["--help"], ["--version"]):
        return
    command, name = typer.main.get_command(app), "linbench"
    while hasattr(command, "commands") and words[:1] != ["--help"] and not (may_be_name and not words):
        name, *words = words
        command = command.commands[name]
    if "--help" not in words and not (may_be_name and not words):
        command.make_context(name, words)


@pytest.mark.parametrize(
    ("command", "form"),
    [
        pytest.param(command, form, id=f"{page.name}: {command}")
        for page in PAGES
        for form in (COMMAND_LINE, INLINE)
        for command in commands_of(page, form)
    ],
)
def test_a_documented_command_is_a_lawful_one(command: str, form: re.Pattern[str]) -> None:
    """The real parser takes the command with its options, wherever the documentation shows it."""
    parse(words_of(command), may_be_name=form is INLINE)


def test_the_parser_of_these_tests_refuses_what_is_wrong() -> None:
    """A misspelt command or option in a page would be found."""
    with pytest.raises(KeyError):
        parse(words_of("linbench edti --range 33-70"))
    with pytest.raises(Exception, match="No such option"):
        parse(words_of("linbench edit --rang 33-70"))
    with pytest.raises(KeyError):
        parse(words_of("linbench scor"), may_be_name=True)
    with pytest.raises(Exception, match="Missing parameter"):
        parse(words_of("linbench score"))


SETTINGS = ("n_layer=1", "n_embd=16", "block_size=32", "max_iters=4", "eval_interval=2", "checkpoint_interval=4")


def test_the_session_in_the_readme_runs(linbench: Linbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands, typed in order on a small model, all exit 0, and end with the agent on the leaderboard."""
    block = re.search(r"## A session\n\n```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    monkeypatch.chdir(tmp_path)
    shutil.copy(templates_dir() / "attention" / "linear.py", "my_attention.py")
    said = {}
    for line in block[1].splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)[1:]
        small = [word for setting in SETTINGS for word in ("--set", setting)] if words[0] == "test" else []
        reply = linbench(*words, *small)
        assert reply.code == 0, (line, reply.out)
        said[words[0]] = reply.out
    assert list(said)[-1] == "submit"
    assert "is final; the session is closed" in said["submit"]
    assert re.search(r"\n +1 +me +agent ", said["submit"])
