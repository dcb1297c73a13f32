"""What the agent changed with its own editor becomes one edit of the session, if it is lawful."""

from sandbox.guards import check
from sandbox.session import Session
from sandbox.state import SessionState


def adopt(session: Session) -> SessionState:
    """The session's state with the workspace file's changes taken over. Raises EditRefused when they are not lawful."""
    state = session.read()
    task = state.task.task
    return session.adopt(lambda document: check(document, task.overrides, task.policy))
