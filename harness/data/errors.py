"""The one exception of the data package: what is wrong, what would be right, and the exact command to run next."""


class DataError(RuntimeError):
    """A data set, a source file or a tokenizer is missing or is not what it should be; the message is for the user."""

    def __init__(self, message: str, *, run: str | None = None):
        super().__init__(message)
        self.message = message
        self.run = run
        """The exact command to run next; None where there is none."""
