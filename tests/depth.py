"""How far the tests look: as far as the gate has time for, or farther.

The gate sees less than there is: a retail case is killed, or left without an approver,
or played in peace, and not all three; a route meets a role with one credential; an
attack one of two contracts; a cell of the table of modes every other scope. Each member
stands in some test. Only `KEYTURN_SEARCH=1 make test` takes all of them together, on
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
