"""A provider that counts what really happened, and what workers have sent to it."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from keyturn.orchestrator.store.ledger.effects import Grant

WINDOW = timedelta(hours=1)
Fate = Literal["done", "failed", "not_sent"]
FATES: tuple[Fate, ...] = ("done", "done", "failed", "not_sent")


@dataclass
class Provider:
    """What really happened outside; `top_up` goes to one that honours keys."""

    booked: Counter[str] = field(default_factory=Counter[str])
    known: dict[str, tuple[Fate, datetime]] = field(
        default_factory=dict[str, tuple[Fate, datetime]]
    )

    def take(self, key: str, fate: Fate, *, honours: bool, at: datetime) -> Fate:
        """Carry out one request and return what the provider answers."""
        if fate == "not_sent":
            return fate
        if honours and key in self.known and at - self.known[key][1] < WINDOW:
            # One that knows the key may refuse it: "in progress", "refunded already".
            return "failed" if fate == "failed" else self.known[key][0]
        self.known.setdefault(key, (fate, at))
        self.booked[key] += fate == "done"
        return fate


@dataclass
class Sent:
    """A request that a worker has sent; what it will say of it, once it says it."""

    grant: Grant
    truth: Fate
    said: str | None = None
