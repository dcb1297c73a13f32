"""A session: created whole or not at all, read without a lock, changed under one, its workspace kept in step."""

import re
from pathlib import Path

import pytest

from sandbox.document import Document
from sandbox.errors import EditRefused, MachineFault, UsageError
from sandbox.events import Commit, Edit, Reserve, Submit, Undo
from sandbox.session import Session


def edit(first: str, second: str = "# s\nc = 3\n", whole: bool = True) -> Edit:
    return Edit("Replaced.", (first, second), whole)


def accept(document: Document) -> None:
    compile(document.text, "toy.py", "exec")


def refuse(document: Document) -> None:
    raise EditRefused("it would not do", line=4, column=2)


def workspace_of(session: Session) -> Path:
    return session.folder.workspace("toys/toy.py")


def test_create_writes_the_ledger_and_the_workspace(session: Session) -> None:
    """A new session holds the untouched script, its whole budget, and a name that says when and what."""
    state = session.read()
    assert re.fullmatch(r"\d{8}-\d{6}-toy-[0-9a-f]{4}", session.name)
    assert state.start.session == session.name
    assert workspace_of(session).read_text() == state.document.text == state.task.template
    assert (state.budget_left, state.revision, state.closed) == (3, 0, False)
