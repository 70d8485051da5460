"""The view of the queue's page."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement

from keyturn.approvals.api.approval_body import summary_of
from keyturn.approvals.view import wording
from keyturn.approvals.web.page_links import cut
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.clock import system_clock
from keyturn.orchestrator.store.approvals import claims, queue_filter
from keyturn.orchestrator.store.approvals.eligibility import why_not
from keyturn.orchestrator.store.approvals.queue_filter import Claim, Place
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_count import Total
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import ApprovalRow
from keyturn.orchestrator.store.views import inbox
from keyturn.orchestrator.store.views.inbox import Names, Waiting

# An item with less time left than this is highlighted.
URGENT = timedelta(minutes=30)
PAGE = 50
FEW = 3


# Mine: claimed by or assigned to me; free: unclaimed; own: my teams and languages.
Whose = Literal["", "mine", "free", "own"]
_CLAIMS: dict[Whose, Claim] = {"mine": "mine", "free": "unclaimed"}


@dataclass(frozen=True)
class Filter:
    """The filter of the queue; empty means all."""

    tool: str = ""
    workflow: str = ""
    team: str = ""
    language: str = ""
    whose: Whose = ""
    mine: bool = False


@dataclass(frozen=True)
class Row:
    """One line of the queue; `mine` tells whether the viewer may decide it."""

    id: str
    summary: str
    amount: str
    customer: str
    tool: str
    workflow: str
    created_at: datetime
    answer_by: datetime
    is_urgent: bool
    stopped_by: str | None
    needed: int
    given: int
    role: str
    mine: Literal["yes", "no", "done"]
    why_not: str
    holder: str
    held_until: datetime | None
    is_held_by_me: bool
    is_given_to_me: bool


@dataclass(frozen=True)
class Queue:
    """A filtered page of pending items, with the values to filter by.

    `total` counts the items that match the filter, on all pages.
    """

    rows: list[Row]
    total: Total
    last: Place | None
    names: Names
    wanted: Filter


async def load(
    store: Store, person: Person, wanted: Filter, after: Place | None = None
) -> Queue:
    """Return a page of the queue for a person."""
    async with store.read() as session:
        now = await session.read_clock()
        fits = _conditions(wanted, person, now=now)
        found = await _page(session, person, wanted, fits, after=after)
        total = await inbox.queue_length(session, fits, of_runs=wanted.mine)
        names = await inbox.queue_names(session, tenant=person.tenant)
    kept, last = cut(found, PAGE)
    return Queue(
        rows=[_row(one, person, now=now) for one in kept],
        total=Total(max(total.found, len(kept)), is_more=total.is_more),
        last=Place.of(last.approval) if last else None,
        names=names,
        wanted=wanted,
    )


async def _page(
    session: Tx,
    person: Person,
    wanted: Filter,
    fits: list[ColumnElement[bool]],
    *,
    after: Place | None,
) -> list[Waiting]:
    """Return the matching items, one more than a page has.

    If the query returns an item that must not be shown, reads on until the page is
    full: a page is never empty while there are matches.
    """
    kept: list[Waiting] = []
    while True:
        found = await inbox.queue(session, fits, limit=PAGE + 1, after=after)
        kept += [
            one
            for one in found
            if not wanted.mine or mine(one, person, now=session.now)[0] == "yes"
        ]
        if len(kept) > PAGE or len(found) <= PAGE:
            return kept
        after = Place.of(found[-1].approval)


def _conditions(
    wanted: Filter, person: Person, *, now: datetime
) -> list[ColumnElement[bool]]:
    found = queue_filter.conditions(_asked(wanted, person), now=now)
    return found + (queue_filter.may_approve(person, now=now) if wanted.mine else [])


def _asked(wanted: Filter, person: Person) -> queue_filter.Filter:
    return queue_filter.Filter(
        tenant=person.tenant,
        tool=wanted.tool or None,
        workflow=wanted.workflow or None,
        team=wanted.team or None,
        language=wanted.language or None,
        claim=_CLAIMS.get(wanted.whose),
        own=wanted.whose == "own",
        person=person,
    )


async def after(store: Store, person: Person, approval: str) -> str | None:
    """Return the next item that this person may decide, wrapping round."""
    async with store.read() as session:
        await session.read_clock()
        row = await session.get(ApprovalRow, approval)
        here = Place.of(row) if row is not None else None
        return await _next(session, person, approval, here) or (
            await _next(session, person, approval, None)
        )


async def _next(
    session: Tx, person: Person, approval: str, place: Place | None
) -> str | None:
    fits = queue_filter.conditions(
        queue_filter.Filter(tenant=person.tenant), now=session.now
    )
    fits += [
        *queue_filter.may_approve(person, now=session.now),
        queue_filter.free_for(person, now=session.now),
    ]
    while True:
        found = await inbox.queue(session, fits, limit=FEW, after=place)
        for one in found:
            if (
                one.approval.id != approval
                and mine(one, person, now=session.now)[0] == "yes"
            ):
                return one.approval.id
        if len(found) < FEW:
            return None
        place = Place.of(found[-1].approval)


def _row(one: Waiting, person: Person, *, now: datetime) -> Row:
    approval = one.approval
    whose, reason = mine(one, person, now=now)
    holder = claims.holder(approval, now=now)
    return Row(
        id=approval.id,
        summary=summary_of(approval, one.release),
        amount=wording.money(approval.amount, approval.currency),
        customer=approval.customer,
        tool=approval.tool,
        workflow=approval.workflow,
        created_at=approval.created_at,
        answer_by=approval.answer_by,
        is_urgent=approval.answer_by - system_clock() < URGENT,
        stopped_by=one.run.stopped_by,
        needed=approval.needed,
        given=one.given,
        role=approval.role,
        mine=whose,
        why_not=reason,
        holder=(approval.claimed_name or "") if holder else "",
        held_until=approval.claim_until if holder else None,
        is_held_by_me=holder == person.id,
        is_given_to_me=approval.assigned_to == person.id,
    )


def mine(
    one: Waiting, person: Person, *, now: datetime
) -> tuple[Literal["yes", "no", "done"], str]:
    """Return whether this person may decide the item, or why not."""
    if person.id in one.deciders:
        return "done", ""
    reason = why_not(one.approval, one.run, person, now=now)
    return ("yes", "") if reason is None else ("no", reason)
