"""Changing a session while holding its lock: append events, and keep the workspace file in step with them."""

import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.content import clean_content
from sandbox.document import Document
from sandbox.errors import BudgetSpent, EditRefused
from sandbox.events import Edit, Event
from sandbox.fold import step
from sandbox.ledger import Entry, Ledger, Reading
from sandbox.locks import cannot_write
from sandbox.paths import SessionFolder
from sandbox.state import SessionState
from sandbox.whole_file import document_from_text
from sandbox.workspace import Workspace, refuse


class Transaction:
    """A session under its lock; made by `Session.transact`."""

    def __init__(self, folder: SessionFolder, ledger: Ledger, reading: Reading, state: SessionState):
        self.folder = folder
        self.state = state
        self._ledger = ledger
        self._reading = reading
        self._workspace = Workspace.of(folder, state.frame.file)
        self._finding = self._workspace.inspect(state.document.text, state.current.seq)
        if self._finding.status == "behind" and not state.closed:
            self._workspace.sweep()
            self._follow(over=self._finding.data)

    @property
    def pending(self) -> bool:
        """Whether the workspace file holds something that is not in the ledger."""
        return self._finding.status in ("changed", "unreadable") and not self.state.closed

    def append(self, event: Event) -> SessionState:
        """Record `event`, once it is lawful, and return the state after it.

        Raises UsageError or BudgetSpent when it is not lawful now, and MachineFault when it cannot be written; nothing
        has then changed.
        """
        return self._append(event, over=self.state.document.text.encode())

    def adopt(self, check: Callable[[Document], object]) -> bool:
        """Take what the agent did to the workspace file as one edit; returns whether there was anything to take.

        Raises EditRefused when it reaches outside the regions or `check` refuses it; the file then stays as it is.
        """
        if not self.pending:
            return False
        if self._finding.status == "unreadable":
            raise refuse(self._finding, self._workspace.path)
        if self.state.actions_left == 0:
            raise BudgetSpent(
                f"{self._workspace.path} was changed, but all {self.state.revision} edits of this session are spent. "
                "`linbench undo` puts the recorded script back and moves the change aside.",
                run="linbench undo",
            )
        document = self._read_change(check)
        if document.contents == self.state.document.contents:  # only its line ends differ
            self._follow(over=self._finding.data)
            return False
        event = Edit(f"Adopted the changes of {self._workspace.path.name}.", document.contents, True, adopted=True)
        self._append(event, over=self._finding.data)
        return True

    def discard(self) -> Path | None:
        """Put the recorded script back into the workspace; returns where the agent's unrecorded change was moved to.

        Raises MachineFault when the workspace cannot be written.
        """
        if not self.pending:
            return None
        try:
            return self._write_workspace(over=None)
        except OSError as error:
            raise cannot_write(self._workspace.path.parent, error) from error

    def _append(self, event: Event, over: bytes | None) -> SessionState:
        step(self.state, Entry(self.state.seq + 1, "", event, ""))  # refuse before anything is written
        before = self.state.revision
        self._reading = self._ledger.append(self._reading, event)
        self.state = step(self.state, self._reading.entries[-1])
        if self.state.revision != before:
            self._follow(over)
        return self.state

    def _read_change(self, check: Callable[[Document], object]) -> Document:
        assert self._finding.data is not None
        try:
            text, _ = clean_content(self._finding.data)
            document = document_from_text(self.state.frame, text, previous=self.state.document)
            check(document)
        except EditRefused as error:
            raise EditRefused(
                f"{self._workspace.path} was changed outside of linbench, and the change is refused. {error.message}\n"
                "Correct the file, or let `linbench undo` put the recorded script back (the change is moved aside).",
                run="linbench undo",
                line=error.line,
                column=error.column,
            ) from error
        return document

    def _follow(self, over: bytes | None) -> None:
        """Bring the workspace file up to the ledger. A failure is reported and made good by the next command."""
        path = self._workspace.path
        try:
            kept = self._write_workspace(over)
        except OSError as error:
            _report(f"the script is recorded, but {path} could not be written ({error}); the next command writes it.")
            return
        if kept is not None:
            _report(f"{path} had been changed meanwhile; that change is now in {kept}.")

    def _write_workspace(self, over: bytes | None) -> Path | None:
        text, seq = self.state.document.text, self.state.current.seq
        kept = self._workspace.write(text, seq, over=over)
        self._finding = self._workspace.inspect(text, seq)
        return kept


def _report(message: str) -> None:
    print(f"linbench: {message}", file=sys.stderr)
