"""How far the tests look: as far as the gate has time for, or farther.

`KEYTURN_SEARCH=1 make test` takes both databases everywhere, every credential, every
case and value together, and longer searches. What the gate leaves out it does not leave
out for good: each case and each value has its turn in some test.
"""

import os
from collections.abc import Sequence
from typing import TypeVar

SEARCHES = bool(os.environ.get("KEYTURN_SEARCH"))

One = TypeVar("One")


def some(everything: Sequence[One], *, of: int, turn: int) -> Sequence[One]:
    """Give every `of`-th of them beginning with the one at `turn`; all in a search."""
    return everything if SEARCHES else everything[turn::of]
