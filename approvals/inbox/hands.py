"""Who has an item: its claim, its assignee, and who may take it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from keyturn.approvals.auth import permissions
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.approvals import assignment, claims, eligibility
from keyturn.orchestrator.store.approvals.extension import MOST_EXTENSIONS
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.tables import PersonRow
from keyturn.orchestrator.store.views.item import Item


@dataclass(frozen=True)
class Hands:
    """Who has an item; `others` are the people a lead may assign it to."""

    state: Literal["free", "mine", "other"] = "free"
    holder: str = ""
    name: str = ""
    until: datetime | None = None
    is_drawn: bool = False
    assigned_name: str = ""
    others: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    may_assign: bool = False
    may_extend: bool = False
    why_no_extension: str = ""


async def of(session: Tx, item: Item, person: Person) -> Hands:
    """Return who has an item, as this person sees it."""
    row = item.approval
    if row.status != "pending":
        return Hands()
    holder = claims.holder(row, now=session.now)
    given = [one.person for one in item.decisions]
    people = await assignment.candidates(session, row, item.run, but=given)
    return Hands(
        state="free" if holder is None else "mine" if holder == person.id else "other",
        holder=holder or "",
        name=(row.claimed_name or "") if holder else "",
        until=row.claim_until if holder else None,
        is_drawn=eligibility.is_assigned(row),
        assigned_name=await _name(session, row.assigned_to, people),
        others=[(one.id, f"{one.name} ({one.role})") for one in people],
        may_assign=permissions.may(person, "approvals.assign"),
        may_extend=permissions.may(person, "approvals.extend"),
        why_no_extension=_why_no_extension(row.extended),
    )


def _why_no_extension(extended: int) -> str:
    if extended < MOST_EXTENSIONS:
        return ""
    return f"It was extended {extended} times, which is the maximum."


async def _name(session: Tx, person: str | None, people: Sequence[PersonRow]) -> str:
    if person is None:
        return ""
    known = next((one for one in people if one.id == person), None)
    known = known or await session.get(PersonRow, person)
    return known.name if known else person
