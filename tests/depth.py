"""How far the tests look: as far as the gate has time for, or farther.

The gate sees less than there is: half of the retail cases pass through all of Keyturn,
where each is killed, or left without an approver, or played in peace; all of them pass
through their tools. A route meets a role with one credential, an attack one of two
contracts, a cell of the table of modes every other scope, a held call one of two
siblings, and the exit of pytest two of five ends. Each member stands in some test. Only `KEYTURN_SEARCH=1 make test` takes all of them together, on
both databases, and searches longer.
"""

import os
from collections.abc import Sequence
from typing import TypeVar

SEARCHES = bool(os.environ.get("KEYTURN_SEARCH"))

One = TypeVar("One")


def some(everything: Sequence[One], *, of: int, turn: int) -> Sequence[One]:
    """Give every `of`-th of them beginning with the one at `turn`; all in a search."""
    return everything if SEARCHES else everything[turn::of]
