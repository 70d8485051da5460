"""Errors of changing a status: always a fault of ours, never a user's."""


class NoSuchTransition(RuntimeError):
    """A row was to get a status that may not follow its present one."""

    def __init__(self, noun: str, key: str, was: str, to: str) -> None:
        """Name the row, its status, and the status that it was to get."""
        self.noun = noun
        self.key = key
        self.was = was
        self.to = to
        super().__init__(
            f"The {noun} {key} is {was} and cannot become {to}; nothing was changed."
        )
