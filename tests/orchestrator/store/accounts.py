"""People in an empty record whose clock the test sets."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlmodel import col, select

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.tables import AuditRow, PersonRow
from tests.databases import patient

BEGINNING = datetime(2026, 1, 5, 9, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that stands until the test moves it."""

    now: datetime = BEGINNING

    def __call__(self) -> datetime:
        return self.now

    def passes(self, span: timedelta) -> None:
        self.now += span


@dataclass
class Accounts:
    """The record, its clock, and how to open accounts in it."""

    store: Store
    clock: Clock
    known: dict[str, PersonRow] = field(default_factory=dict[str, PersonRow])

    async def open(
        self,
        name: str,
        role: str = "agent",
        *,
        tenant: str | None = None,
        kind: str = "person",
    ) -> PersonRow:
        new = NewPerson.model_validate(
            {
                "name": name,
                "email": f"{name}@shop.example",
                "role": role,
                "tenant": tenant,
                "kind": kind,
            }
        )
        return await accounts.add(self.store, new, password_hash=None, by="test")

    async def read(self, person: PersonRow) -> PersonRow:
        async with self.store.read() as session:
            return await accounts.get(session, person.id)

    async def log(self) -> list[AuditRow]:
        async with self.store.read() as session:
            return list(
                (
                    await session.execute(select(AuditRow).order_by(col(AuditRow.id)))
                ).scalars()
            )

    async def kinds(self) -> list[str]:
        return [one.kind for one in await self.log()]


@asynccontextmanager
async def open_accounts(url: str) -> AsyncGenerator[Accounts]:
    clock = Clock()
    store = patient(url, clock=clock)
    try:
        yield Accounts(store, clock)
    finally:
        await store.close()
