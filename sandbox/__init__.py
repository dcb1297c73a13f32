"""What an agent touches: the CLI, tasks, regions, guards, the ledger, sessions and the leaderboard. Never imports torch."""

__version__ = "0.1.0"
