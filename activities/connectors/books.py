"""External books over HTTP: the payment service's statement and the mail log.

`GET {url}?since=TIME[&cursor=C]` answers `{"lines": [...], "next": C | null}`, the mail
log `{"mails": [...], "next": C | null}`. Each has its own read-only key.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeVar

import httpx2
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from keyturn.activities.http_client import LARGEST, TooLarge
from keyturn.orchestrator.rules.errors import MalformedJson
from keyturn.orchestrator.rules.money.money import Currency, Money
from keyturn.orchestrator.rules.money.reconciliation import (
    BooksAway,
    BooksUnusable,
    Line,
    LineStatus,
    MailEntry,
)
from keyturn.orchestrator.rules.text import canonical

MOST_PAGES = 2_000
# The service received the request in time, and may answer later.
_AWAY = frozenset({408, 425, 429})

# No control character: PostgreSQL refuses NUL, and people read these.
Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,300}$")]
Page = TypeVar("Page", bound="_Page")


class _Part(BaseModel):
    """What is sent besides is left out, and nothing is taken for something else."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Line(_Part):
    reference: Name
    key: Name
    amount: int = Field(ge=1, le=10**15)
    currency: Currency
    status: LineStatus
    at: Annotated[AwareDatetime, Field(strict=False)]
    tenant: Name | None = None
    words: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,500}$")] = ""


class _Mail(_Part):
    message_id: Name
    at: Annotated[AwareDatetime, Field(strict=False)]
    sender: str | None = None


class _Page(_Part):
    next: Name | None = None


class _Lines(_Page):
    lines: list[_Line]


class _Mails(_Page):
    mails: list[_Mail]


@dataclass(frozen=True)
class _Books:
    """One address that is read page by page."""

    client: httpx2.AsyncClient
    url: str
    key: str | None

    async def pages(self, kind: type[Page], since: datetime) -> AsyncGenerator[Page]:
        """Yield every page; raises `BooksAway` or `BooksUnusable`."""
        cursor, seen = None, set[str]()
        for _ in range(MOST_PAGES):
            page = self._parse(kind, await self._get(since, cursor))
            yield page
            cursor = page.next
            if cursor is None:
                return
            if cursor in seen:
                raise BooksUnusable(
                    f"{self.url} names the page {cursor!r} as next twice."
                )
            seen.add(cursor)
        raise BooksUnusable(f"{self.url} has more than {MOST_PAGES} pages.")

    async def _get(self, since: datetime, cursor: str | None) -> bytes:
        asked = {"since": since.isoformat(), **({"cursor": cursor} if cursor else {})}
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            response = await self.client.get(self.url, params=asked, headers=headers)
        except TooLarge:
            raise BooksUnusable(
                f"A page of {self.url} is larger than {LARGEST} bytes."
            ) from None
        except httpx2.HTTPError as error:
            words = str(error) or type(error).__name__
            raise BooksAway(f"{self.url} cannot be read now: {words}.") from None
        self._check(response)
        return response.content

    def _check(self, response: httpx2.Response) -> None:
        status = response.status_code
        if status >= 500 or status in _AWAY:
            raise BooksAway(f"{self.url} answered {status}.")
        if status in (401, 403):
            raise BooksUnusable(
                f"{self.url} refuses our key ({status}); set a key that may read it."
            )
        if status != 200:
            raise BooksUnusable(f"{self.url} answered {status}, not 200.")

    def _parse(self, kind: type[Page], body: bytes) -> Page:
        try:
            return kind.model_validate(canonical.parse(body))
        except MalformedJson as error:
            raise BooksUnusable(f"{self.url} sent no usable JSON: {error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = "/".join(str(part) for part in first["loc"])
            raise BooksUnusable(
                f"{self.url} sent {place or 'a page'} that does not fit: "
                f"{first['msg']}."
            ) from None


@dataclass(frozen=True)
class HttpStatement:
    """The payment service's statement."""

    client: httpx2.AsyncClient
    url: str
    key: str | None = None

    async def lines(self, since: datetime) -> list[Line]:
        """Return every line that changed since then."""
        found: list[Line] = []
        async for page in _Books(self.client, self.url, self.key).pages(_Lines, since):
            found += [
                Line(
                    **one.model_dump(exclude={"amount", "currency"}),
                    money=Money(one.amount, one.currency),
                )
                for one in page.lines
            ]
        return found


@dataclass(frozen=True)
class HttpMailLog:
    """The mail server's log; of mails that name their sender, only `sender`'s."""

    client: httpx2.AsyncClient
    url: str
    sender: str
    key: str | None = None

    async def mails(self, since: datetime) -> list[MailEntry]:
        """Return every mail since then."""
        found: list[MailEntry] = []
        async for page in _Books(self.client, self.url, self.key).pages(_Mails, since):
            found += [
                MailEntry(message_id=one.message_id, at=one.at)
                for one in page.mails
                if one.sender in (None, self.sender)
            ]
        return found
