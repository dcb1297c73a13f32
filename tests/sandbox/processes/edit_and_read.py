"""Edit the session at argv[1] ten times under the name argv[2], reading it before and after each edit."""

import sys
from pathlib import Path

from sandbox.document import Document
from sandbox.events import Edit
from sandbox.paths import SessionFolder
from sandbox.session import Session


def refuse(document: Document) -> None:
    raise AssertionError("nobody changed the workspace file by hand")


session = Session(SessionFolder(Path(sys.argv[1])))
newest = 0
for number in range(10):
    read = session.read().revision
    assert read >= newest, "a session went back in time"
    with session.transact() as transaction:
        newest = transaction.append(Edit(f"{sys.argv[2]}-{number}", (f"a = {number}\n" * 200, ""), True)).revision
    assert session.adopt(refuse).revision >= newest
