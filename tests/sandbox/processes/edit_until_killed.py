"""Edit the session at argv[1] without end, printing each revision once its transaction is over."""

import sys
from pathlib import Path

from sandbox.events import Edit
from sandbox.paths import SessionFolder
from sandbox.session import Session

session = Session(SessionFolder(Path(sys.argv[1])))
while True:
    with session.transact() as transaction:
        number = transaction.state.revision + 1
        transaction.append(Edit(f"edit {number}", (f"a = {number}\n" * 2_000, "c = 3\n"), True))
    print(number, flush=True)
