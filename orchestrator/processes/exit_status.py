"""The meaning of a command's exit status to its caller."""

from enum import IntEnum

from keyturn.orchestrator.rules.errors import KeyturnError


class Status(IntEnum):
    """The process's exit status."""

    DONE = 0
    NO = 1
    WRONG_USAGE = 2
    AWAY = 3
    INTERRUPTED = 130


class Ended(KeyturnError):
    """A command cannot do its task; the message says why and what to do."""

    status = Status.NO


class WrongUsage(Ended):
    """An argument or setting is wrong; no service was called."""

    status = Status.WRONG_USAGE


class Away(Ended):
    """A service that the command needs does not answer."""

    status = Status.AWAY


def of(error: KeyturnError) -> Status:
    """Return the exit status for an error of the rules or the record."""
    # By name: most commands never import the modules that define these classes.
    match type(error).__name__:
        case "StoreUnavailable":
            return Status.AWAY
        case "SettingsError" | "MalformedJson" | "DecisionKeyError":
            return Status.WRONG_USAGE
        case _:
            return error.status if isinstance(error, Ended) else Status.NO
