"""What an edited script must satisfy, checked before the edit is made; each module here guards one rule."""

from sandbox.guards.check import check

__all__ = ["check"]
