"""Conditions that end or interrupt a turn before it has a reply."""

from keyturn.orchestrator.rules.authority.hold import Hold
from keyturn.orchestrator.rules.contract.contract import FallbackKind
from keyturn.orchestrator.rules.errors import KeyturnError
from keyturn.orchestrator.rules.money.budget import Needs


class Fallback(KeyturnError):
    """No usable reply; the contract's fallback of this kind is taken."""

    def __init__(
        self,
        kind: FallbackKind,
        detail: str,
        *,
        left: str = "",
        needs: Needs | None = None,
    ) -> None:
        """Name the kind, what happened, and the model's partial result for a person.

        `needs` is the amount for which a budget has no room.
        """
        self.needs = needs
        self.kind: FallbackKind = kind
        self.detail = detail
        self.left = left
        super().__init__(detail)


class Held(KeyturnError):
    """A pause, switch or cancellation arrived while a model was asked."""

    def __init__(self, by: Hold | None) -> None:
        """Name the hold; None: the run was cancelled, or has ended."""
        self.by = by
        super().__init__(f"Stopped by {by or 'cancel'}.")


class Unkept(KeyturnError):
    """A fault of code prevented storing a paid reply: asking again would pay again."""


class Rerouted(KeyturnError):
    """A switch disabled the model while it was asked; others may be left."""
