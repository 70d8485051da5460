"""The queue as its page shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from approvals import wording
from approvals.api.approval_body import summary_of
from orchestrator.clock import system_clock
from orchestrator.store import desk
from orchestrator.store.approvals import Person, why_not
from orchestrator.store.desk import Waiting
from orchestrator.store.engine import Store

# With less time left than this an item stands out.
URGENT = timedelta(minutes=30)


@dataclass(frozen=True)
class Filter:
    """What of the queue to show; empty means all."""

    tool: str = ""
    workflow: str = ""
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


@dataclass(frozen=True)
class Queue:
    """What waits, filtered, with what there is to filter by."""

    rows: list[Row]
    tools: list[str]
    workflows: list[str]
    tool: str
    workflow: str
    mine: bool


async def load(store: Store, person: Person, wanted: Filter) -> Queue:
    """Return the queue for a person."""
    async with store.read() as session:
        found = await desk.queue(session, tenant=person.tenant)
    rows = [_row(one, person) for one in found]
    return Queue(
        rows=[row for row in rows if _fits(row, wanted)],
        tools=_names(row.tool for row in rows),
        workflows=_names(row.workflow for row in rows),
        tool=wanted.tool,
        workflow=wanted.workflow,
        mine=wanted.mine,
    )


async def after(store: Store, person: Person, approval: str) -> str | None:
    """Return the next item that this person may decide, round the queue."""
    async with store.read() as session:
        found = await desk.queue(session, tenant=person.tenant)
    ids = [one.approval.id for one in found]
    start = ids.index(approval) + 1 if approval in ids else 0
    for one in (*found[start:], *found[:start]):
        if one.approval.id != approval and mine(one, person)[0] == "yes":
            return one.approval.id
    return None


def _row(one: Waiting, person: Person) -> Row:
    approval = one.approval
    whose, reason = mine(one, person)
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
    )


def mine(one: Waiting, person: Person) -> tuple[Literal["yes", "no", "done"], str]:
    """Return whether this person may decide it, and why not."""
    if person.id in one.deciders:
        return "done", ""
    reason = why_not(one.approval, one.run, person)
    return ("yes", "") if reason is None else ("no", reason)


def _fits(row: Row, wanted: Filter) -> bool:
    return (
        wanted.tool in ("", row.tool)
        and wanted.workflow in ("", row.workflow)
        and (not wanted.mine or row.mine == "yes")
    )


def _names(names: Iterable[str]) -> list[str]:
    return sorted(set(names))
