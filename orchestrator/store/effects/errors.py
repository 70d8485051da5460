"""What keeps an effect from being settled, undone or taken back."""

from datetime import datetime

from keyturn.orchestrator.rules.errors import KeyturnError


class NoCompensation(KeyturnError):
    """This effect cannot be compensated."""


class NoLookUp(KeyturnError):
    """Nothing looks this effect up; a person records what happened."""


class NeedsAnother(KeyturnError):
    """Whoever reported a later failure does not settle it."""


class NotDone(KeyturnError):
    """Only what was done can fail later."""

    def __init__(self, key: str, status: str) -> None:
        """Name the effect and its state."""
        self.key = key
        self.status = status
        super().__init__(f"Effect {key} is {status}, not done; nothing was changed.")


class NotSettled(KeyturnError):
    """Nobody can know yet that an effect never happened: it may still do so."""

    def __init__(self, key: str, until: datetime) -> None:
        """Name the effect, and until when it may still be carried out."""
        self.key = key
        self.until = until
        super().__init__(
            f"Nothing was recorded: the request of {key} may still be carried out until "
            f"{until:%H:%M:%S} UTC. Look again after that, and record then that it "
            "never happened. That it did happen can be recorded at once."
        )


class NotUnknown(KeyturnError):
    """Only an unknown effect is recorded by a person."""

    def __init__(self, key: str, status: str) -> None:
        """Name the effect and its state."""
        self.key = key
        self.status = status
        super().__init__(
            f"Effect {key} is {status}, not unknown; nothing was changed. What was "
            "done and failed later is reopened first."
        )


class TooLate(KeyturnError):
    """The effect has begun, or the decision is final; nothing was changed."""
