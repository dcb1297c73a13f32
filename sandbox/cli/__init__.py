"""The command line: `linbench COMMAND`. Each command loads what it needs when it runs, so that all start fast."""

from sandbox.cli.app import main

__all__ = ["main"]
