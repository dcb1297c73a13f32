"""One tree of user-facing errors: each says what is wrong, what would be right, and which command to run next.

The CLI has one boundary that prints them and exits with the class's code; nothing else catches them.
"""

import difflib
from collections.abc import Iterable


class LinbenchError(Exception):
    """A mistake or a fault that a reply explains; never shown as a traceback."""

    exit_code = 2

    def __init__(self, message: str, *, run: str | None = None, line: int | None = None, column: int | None = None):
        super().__init__(message)
        self.message = message
        self.run = run
        """The exact command to run next; None where there is none."""
        self.line = line
        """1-based line in the script that the error is about; None where it is about no line."""
        self.column = column
        """1-based column in that line; None where unknown."""
        self.view: str | None = None
        """The script as it stands, for the reply to a refused edit."""


class UsageError(LinbenchError):
    """The command cannot be carried out as typed."""


class TaskError(UsageError):
    """A task folder is not one that a session can be opened on."""


class EditRefused(LinbenchError):
    """The edit would break a rule; the script stays as it was."""

    exit_code = 3


class PolicyRefused(EditRefused):
    """The code reaches for what the task's policy keeps from it; no further edit would complete this one."""


class BudgetSpent(LinbenchError):
    """No test is left in this session."""

    exit_code = 4


class RunFailed(LinbenchError):
    """The agent's own code failed a check or a test."""

    exit_code = 5


class MachineFault(LinbenchError):
    """The machine failed (disk, memory, a killed process, missing data); nothing is charged to the agent."""

    exit_code = 6


class LedgerDamaged(MachineFault):
    """A line of the ledger is not what was written."""


class Stopped(LinbenchError):
    """Ctrl-C or SIGTERM ended the command; nothing that was recorded is lost."""

    exit_code = 130


def nearest(value: str, alternatives: Iterable[str]) -> str:
    """Say which alternatives there are, and which one was probably meant.

    >>> nearest("attn", ["attention", "block"])
    "Did you mean 'attention'? There are: attention, block."
    """
    options = list(alternatives)
    holding = [option for option in options if len(value) > 2 and value in option]
    close = holding if len(holding) == 1 else difflib.get_close_matches(value, options, n=1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return f"{meant}There are: {', '.join(options)}." if options else "There are none."
