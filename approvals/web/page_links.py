"""Pagination of lists: links to the next and the previous page.

A page's link has the cursor it begins at, and its `_trail` has the cursors of the pages
before it: lists are only read forwards, and new rows do not shift the pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

# The suffix that makes a cursor's name that of its trail.
TRAIL = "_trail"
# After this many pages the link back leads to the first one.
LONGEST_TRAIL = 20
START = "-"

Item = TypeVar("Item")


@dataclass(frozen=True)
class Turning:
    """The queries of the adjacent pages; None if there is none."""

    earlier: str | None
    later: str | None


def cut(rows: Sequence[Item], size: int) -> tuple[list[Item], Item | None]:
    """Cut the surplus row off; return the page, and its last row if more follow."""
    kept = list(rows[:size])
    return kept, kept[-1] if len(rows) > size else None


def turning(asked: QueryParams, following: object | None, *, name: str) -> Turning:
    """Return the links to the pages adjacent to the one that `asked` names.

    `following` is the cursor after its last row; `name` is the cursor's parameter.
    """
    here = asked.get(name) or START
    trail = [one for one in asked.get(f"{name}{TRAIL}", "").split("~") if one]
    later = None
    if following is not None:
        behind = [*trail, here][-LONGEST_TRAIL:]
        later = _query(asked, name, str(following), behind)
    if here == START:
        return Turning(None, later)
    back = trail[-1] if trail else START
    return Turning(_query(asked, name, back, trail[:-1]), later)


def _query(asked: QueryParams, name: str, cursor: str, trail: Sequence[str]) -> str:
    kept = [
        (key, value)
        for key, value in asked.multi_items()
        if key not in (name, f"{name}{TRAIL}") and value
    ]
    if cursor != START:
        kept.append((name, cursor))
        kept.append((f"{name}{TRAIL}", "~".join(trail)))
    return f"?{urlencode(kept)}"
