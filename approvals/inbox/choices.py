"""Items that may be decided at once: grouped by tool and rule, with their money."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import ColumnElement
from sqlmodel import col

from keyturn.approvals.api.approval_body import summary_of
from keyturn.approvals.inbox import queue
from keyturn.approvals.view import wording
from keyturn.approvals.view.facts import in_order, parsed
from keyturn.approvals.view.form import shape
from keyturn.approvals.web.flash import Flash
from keyturn.approvals.web.page import Page
from keyturn.approvals.web.page_links import cut
from keyturn.orchestrator.store.approvals import queue_filter, read_receipts
from keyturn.orchestrator.store.approvals.batch import MOST
from keyturn.orchestrator.store.approvals.queue_filter import Place
from keyturn.orchestrator.store.tables import ApprovalRow
from keyturn.orchestrator.store.views import inbox
from keyturn.orchestrator.store.views.inbox import Waiting


@dataclass(frozen=True)
class Choice:
    """One item that may be decided with others; `is_opened` as it stands now."""

    approval: ApprovalRow
    summary: str
    amount: str
    preview: JsonValue
    arguments: JsonValue
    is_opened: bool


@dataclass(frozen=True)
class Group:
    """Items of one tool and rule, with their money by currency."""

    tool: str
    rule: str
    choices: list[Choice]
    totals: list[str]
    total: int = 0
    last: Place | None = None


AFTER = "after"
# Items shown per group: beside other groups, and on a page of its own.
A_LOOK, A_PAGE = 10, 50


async def _fits(
    page: Page, *more: ColumnElement[bool]
) -> tuple[list[ColumnElement[bool]], datetime]:
    """Return conditions for what this person may decide alone now, and the time."""
    person = page.visitor.person
    async with page.parts.store.read() as session:
        now = await session.read_clock()
    wanted = queue_filter.Filter(tenant=person.tenant)
    fits = [
        *queue_filter.conditions(wanted, now=now),
        *queue_filter.may_approve(person, now=now),
        queue_filter.free_for(person, now=now),
        col(ApprovalRow.needed) == 1,
        col(ApprovalRow.binding).is_not(None),
        *more,
    ]
    return fits, now


async def choices_of(
    page: Page, *more: ColumnElement[bool], limit: int, after: Place | None = None
) -> list[Choice]:
    """Return the matching items that this person may decide alone, in queue order."""
    person = page.visitor.person
    fits, now = await _fits(page, *more)
    async with page.parts.store.read() as session:
        waiting = [
            one
            for one in await inbox.queue(session, fits, limit=limit, after=after)
            if queue.mine(one, person, now=now)[0] == "yes"
        ]
        opened = await read_receipts.of(
            session, person, [one.approval.id for one in waiting]
        )
    return [_choice(one, opened) for one in waiting]


async def groups_of(page: Page, tool: str, rule: str) -> list[Group]:
    """Return each tool and rule with several pending items, with the first of them.

    If a tool and rule is named, returns a page of that one only.
    """
    fits, _ = await _fits(page)
    async with page.parts.store.read() as session:
        counted = await inbox.queue_groups(session, fits)
    found: list[Group] = []
    place = Place.read(page.request.query_params.get(AFTER, ""))
    for name, said, total in counted:
        if total < 2 or (tool and (name, said) != (tool, rule)):
            continue
        same = (col(ApprovalRow.tool) == name, col(ApprovalRow.rule) == said)
        size = A_PAGE if tool else A_LOOK
        rows = await choices_of(
            page, *same, limit=size + 1, after=place if tool else None
        )
        kept, last = cut(rows, size)
        found.append(
            Group(
                name,
                said,
                kept,
                totals_of([one.approval for one in kept]),
                total=total,
                last=Place.of(last.approval) if last else None,
            )
        )
    return found


def _choice(one: Waiting, opened: set[tuple[str, str]]) -> Choice:
    row = one.approval
    spec = one.release.tool(row.tool)
    return Choice(
        approval=row,
        summary=summary_of(row, one.release),
        amount=wording.money(row.amount, row.currency),
        preview=parsed(row.preview) if spec.has_preview else None,
        arguments=in_order(parsed(row.arguments), shape.of(spec.parameters)),
        is_opened=(row.id, row.binding or "") in opened,
    )


def grouped(choices: Iterable[Choice]) -> list[Group]:
    """Return the choices by tool and rule, with their money by currency."""
    found: dict[tuple[str, str], list[Choice]] = {}
    for one in choices:
        found.setdefault((one.approval.tool, one.approval.rule), []).append(one)
    return [
        Group(tool, rule, group, totals_of([one.approval for one in group]))
        for (tool, rule), group in found.items()
    ]


def problem_with(
    groups: Sequence[Group], found: Sequence[Choice], *, asked: int
) -> Flash | None:
    """Return why these cannot be decided at once, in words; None if they can."""
    if not asked:
        return Flash("Nothing is chosen", "Tick the items that you want to decide.")
    if len(found) < asked:
        return Flash(
            "Some of these cannot be decided with others",
            f"{asked - len(found)} of {asked} were decided meanwhile, need several "
            "people, or cannot be decided by you. Choose again from the rest.",
        )
    if len(groups) > 1:
        return Flash(
            "The items are not of one group",
            "Items decided at once have one tool and one rule. Choose from one group.",
        )
    if len(found) > MOST:
        return Flash(
            f"{len(found)} items are too many",
            f"At most {MOST} can be decided at once; choose fewer.",
        )
    closed = [one.approval.id for one in found if not one.is_opened]
    if closed:
        return Flash(
            "Open each item first",
            f"Not opened since you signed in, or changed since: {', '.join(closed)}.",
        )
    return None


def totals_of(rows: Iterable[ApprovalRow]) -> list[str]:
    """Return the money of these approvals, by currency."""
    sums = Counter[str]()
    for row in rows:
        if row.amount is not None and row.currency is not None:
            sums[row.currency] += row.amount
    return [wording.money(total, currency) for currency, total in sums.items()]
