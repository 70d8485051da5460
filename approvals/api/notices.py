"""Notices: pending ones, dead letters, and a person's choice of mails."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from keyturn.approvals.api.fields import Id
from keyturn.approvals.api.idempotency import ONCE
from keyturn.approvals.api.pages import Page, Paged, page
from keyturn.approvals.api.replies import BODY, ONE, STATE
from keyturn.approvals.auth.visitor import CurrentPerson, require
from keyturn.approvals.web import routing
from keyturn.approvals.web.dependencies import StoreDep
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.notice import KINDS, NoticeKind
from keyturn.orchestrator.store.notices import queue
from keyturn.orchestrator.store.notices.queue import State
from keyturn.orchestrator.store.people import accounts
from keyturn.orchestrator.store.tables import NoticeRow

router = routing.of_api("notices")

# Ids of rows have at most 18 digits here, which every database holds.
NoticeId = Annotated[int, Path(ge=1, lt=10**18)]
Manager = Annotated[Person, Depends(require("notices.manage"))]


class Notice(BaseModel):
    """One event for one recipient: a person by mail, or a webhook."""

    model_config = ConfigDict(frozen=True)

    id: int
    kind: str
    channel: str
    target: str
    target_name: str
    state: State
    tenant: str | None
    run: str | None
    approval: str | None
    payload: dict[str, JsonValue]
    created_at: datetime
    due_at: datetime
    tries: int
    last_error: str | None
    done_at: datetime | None
    dead_at: datetime | None


class NoticeQuery(Paged):
    """A filter of notices."""

    cursor: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,18}$",
        description="`next` of the previous page",
    )
    state: State | None = Field(
        default="dead", description="`dead`: delivery was given up"
    )


class RetryAll(BaseModel):
    """The recipient whose dead letters to send again; without one, all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Id | None = None


class Retried(BaseModel):
    """The number of notices that are sent again."""

    model_config = ConfigDict(frozen=True)

    retried: int


class Mailed(BaseModel):
    """The kinds of events a person is mailed about; `chosen` if not the default."""

    model_config = ConfigDict(frozen=True)

    mail: list[NoticeKind]
    chosen: bool


class ChooseMail(BaseModel):
    """The kinds of events to be mailed about; null for the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mail: list[NoticeKind] | None = Field(default=None, max_length=len(KINDS))


@router.get("/notices")
async def list_notices(
    person: Manager, store: StoreDep, wanted: Annotated[NoticeQuery, Query()]
) -> Page[Notice]:
    """List notices, the latest first; by default only dead letters."""
    async with store.read() as session:
        rows = await queue.listing(
            session,
            wanted.state,
            tenant=person.tenant,
            limit=wanted.one_more,
            before=int(wanted.cursor) if wanted.cursor else None,
        )
        names = await accounts.names(session, {row.target for row in rows})
    return page([_body(row, names) for row in rows], wanted, lambda one: str(one.id))


@router.get("/notices/{id}", responses=ONE)
async def show_notice(id: NoticeId, person: Manager, store: StoreDep) -> Notice:  # noqa: A002 the path's name
    """Show a notice."""
    async with store.read() as session:
        row = await queue.get(session, id, tenant=person.tenant)
        return _body(row, await accounts.names(session, {row.target}))


@router.post("/notices/{id}:retry", dependencies=ONCE, responses={**ONE, **STATE})
async def retry_notice(id: NoticeId, person: Manager, store: StoreDep) -> Notice:  # noqa: A002 the path's name
    """Send a dead letter again, under the same id."""
    await queue.retry(store, id, tenant=person.tenant)
    async with store.read() as session:
        row = await queue.get(session, id, tenant=person.tenant)
        return _body(row, await accounts.names(session, {row.target}))


@router.post("/notices:retry", dependencies=ONCE, responses={**BODY, **STATE})
async def retry_all(wanted: RetryAll, person: Manager, store: StoreDep) -> Retried:
    """Send all dead letters again, or those of one recipient; at most 1,000."""
    count = await queue.retry(store, None, tenant=person.tenant, target=wanted.target)
    return Retried(retried=count)


@router.get("/me/notices")
async def show_mail(person: CurrentPerson, store: StoreDep) -> Mailed:
    """Show the kinds of events you are mailed about."""
    async with store.read() as session:
        kinds, chosen = await queue.mailed_about(session, person.id)
    return Mailed(mail=list(kinds), chosen=chosen)


@router.put("/me/notices", responses=BODY)
async def choose_mail(
    wanted: ChooseMail, person: CurrentPerson, store: StoreDep
) -> Mailed:
    """Choose the kinds of events you are mailed about."""
    await queue.choose_mail(store, person.id, wanted.mail)
    return await show_mail(person, store)


def _body(row: NoticeRow, names: Mapping[str, str]) -> Notice:
    return Notice(
        **row.model_dump(exclude={"event", "claimed_until"}),
        target_name=names.get(row.target, row.target),
        state=queue.state(row),
    )
