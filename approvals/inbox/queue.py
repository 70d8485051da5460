"""The queue as its page shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from approvals import wording
from approvals.api.approval_body import summary_of
from orchestrator.clock import system_clock
from orchestrator.store import claiming, desk, queues
from orchestrator.store.approvals import Person, why_not
from orchestrator.store.deciding import is_held_from, why_not_yet
from orchestrator.store.desk import Waiting
from orchestrator.store.engine import Store
from orchestrator.store.queues import Claim

# With less time left than this an item stands out.
URGENT = timedelta(minutes=30)


# Mine: what I have or was given; free: what nobody has; own: my teams and languages.
Whose = Literal["", "mine", "free", "own"]
_CLAIMS: dict[Whose, Claim] = {"mine": "mine", "free": "unclaimed"}


@dataclass(frozen=True)
class Filter:
    """What of the queue to show; empty means all."""

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
    """What waits, filtered, with what there is to filter by."""

    rows: list[Row]
    tools: list[str]
    workflows: list[str]
    teams: list[str]
    languages: list[str]
    wanted: Filter


async def load(store: Store, person: Person, wanted: Filter) -> Queue:
    """Return the queue for a person."""
    async with store.read() as session:
        now = await store.now(session)
        everything = await desk.queue(session, tenant=person.tenant)
        found = everything
        if wanted != Filter(mine=wanted.mine):
            asked = _asked(wanted, person)
            found = await desk.queue(
                session, tenant=person.tenant, wanted=asked, now=now
            )
    rows = [_row(one, person, now=now) for one in found]
    waiting = [one.approval for one in everything]
    return Queue(
        rows=[row for row in rows if not wanted.mine or row.mine == "yes"],
        tools=_names(one.tool for one in waiting),
        workflows=_names(one.workflow for one in waiting),
        teams=_names(one.team for one in waiting),
        languages=_names(one.language for one in waiting),
        wanted=wanted,
    )


def _asked(wanted: Filter, person: Person) -> queues.Filter:
    return queues.Filter(
        tool=wanted.tool or None,
        workflow=wanted.workflow or None,
        team=wanted.team or None,
        language=wanted.language or None,
        claim=_CLAIMS.get(wanted.whose),
        own=wanted.whose == "own",
        person=person,
    )


async def after(store: Store, person: Person, approval: str) -> str | None:
    """Return the next item that this person may decide, round the queue."""
    async with store.read() as session:
        now = await store.now(session)
        found = await desk.queue(session, tenant=person.tenant)
    ids = [one.approval.id for one in found]
    start = ids.index(approval) + 1 if approval in ids else 0
    for one in (*found[start:], *found[:start]):
        is_free = not is_held_from(one.approval, person.id, now=now)
        may = mine(one, person, now=now)[0] == "yes"
        if one.approval.id != approval and is_free and may:
            return one.approval.id
    return None


def _row(one: Waiting, person: Person, *, now: datetime) -> Row:
    approval = one.approval
    whose, reason = mine(one, person, now=now)
    holder = claiming.holder(approval, now=now)
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
    """Return whether this person may decide it, and why not."""
    if person.id in one.deciders:
        return "done", ""
    reason = why_not(one.approval, one.run, person) or why_not_yet(person, now=now)
    return ("yes", "") if reason is None else ("no", reason)


def _names(names: Iterable[str | None]) -> list[str]:
    return sorted({one for one in names if one})
