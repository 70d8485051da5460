"""Turning the pages of a list: what leads to the next page, and back.

A page names where it begins (a cursor), and its `_trail` names where those before it began:
so a list need only be read forwards, and what comes in between moves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

# What follows the cursor's name in that of its trail.
TRAIL = "_trail"
# Behind so many pages the way back leads to the first one.
LONGEST_TRAIL = 20
START = "-"

Item = TypeVar("Item")


@dataclass(frozen=True)
class Turning:
    """The queries of the pages beside this one; None where there is none."""

    earlier: str | None
    later: str | None


def cut(rows: Sequence[Item], size: int) -> tuple[list[Item], Item | None]:
    """Return a page of rows read with one more, and its last where more follow."""
    kept = list(rows[:size])
    return kept, kept[-1] if len(rows) > size else None


def turning(asked: QueryParams, following: object | None, *, name: str) -> Turning:
    """Return where to turn from the page that `asked` names.

    `following` is the cursor behind its last row; `name` is the cursor's parameter.
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
