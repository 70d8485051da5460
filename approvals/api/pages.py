"""Pagination of lists."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from keyturn.approvals.api.fields import ID_PATTERN

Item = TypeVar("Item")


class Paged(BaseModel):
    """The parameters of every list; an unknown parameter is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(
        default=50, ge=1, le=200, description="The maximum number of items"
    )
    cursor: str | None = Field(
        default=None, pattern=ID_PATTERN, description="`next` of the previous page"
    )

    @property
    def one_more(self) -> int:
        """Return how many rows to read, to know whether there is another page."""
        return self.limit + 1


class Page(BaseModel, Generic[Item]):
    """Some items, and the cursor of the next page if there is one."""

    model_config = ConfigDict(frozen=True)

    items: list[Item]
    next: str | None = Field(
        description="The `cursor` of the next page; null at the end"
    )


def page(
    items: Sequence[Item], wanted: Paged, cursor: Callable[[Item], str]
) -> Page[Item]:
    """Return a page of items that were read with `one_more`."""
    kept = list(items[: wanted.limit])
    more = cursor(kept[-1]) if len(items) > wanted.limit else None
    return Page[Item](items=kept, next=more)
