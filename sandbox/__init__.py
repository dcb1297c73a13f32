"""What an agent touches: CLI, tasks, regions, guards, ledger, sessions, leaderboard. Never imports torch."""

__version__ = "0.1.0"
