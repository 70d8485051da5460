"""Queues: which approvals a person looks at, by team, language and claim."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement
from sqlmodel import and_, col, or_

from orchestrator.status import ApprovalStatus
from orchestrator.store import languages
from orchestrator.store.deciding import Person
from orchestrator.store.tables import ApprovalRow

Claim = Literal["mine", "claimed", "unclaimed"]


class Filter(BaseModel):
    """Which approvals to list; None means any.

    `claim` is seen by `person`: `mine` is what they hold or were assigned. `own` leaves
    out other teams and languages than theirs; who has none set, has all.
    """

    model_config = ConfigDict(frozen=True)

    status: ApprovalStatus | None = None
    tenant: str | None = None
    tool: str | None = None
    workflow: str | None = None
    team: str | None = None
    language: str | None = None
    claim: Claim | None = None
    own: bool = False
    person: Person | None = None


def conditions(wanted: Filter, *, now: datetime) -> list[ColumnElement[bool]]:
    """Return what a query for approvals asks for."""
    names = ("status", "tenant", "tool", "workflow", "team")
    found = [
        col(getattr(ApprovalRow, name)) == getattr(wanted, name)
        for name in names
        if getattr(wanted, name) is not None
    ]
    if wanted.language is not None:
        found.append(_speaks(wanted.language))
    if wanted.claim is not None:
        found.append(_held(wanted, now=now))
    if wanted.own and wanted.person is not None:
        found += _own(wanted.person)
    return found


def _speaks(language: str) -> ColumnElement[bool]:
    tag, asked = languages.normal(language), col(ApprovalRow.language)
    return or_(asked == tag, asked.startswith(f"{tag}-", autoescape=True))


def _held(wanted: Filter, *, now: datetime) -> ColumnElement[bool]:
    holder, until = col(ApprovalRow.claimed_by), col(ApprovalRow.claim_until)
    if wanted.claim == "claimed":
        return and_(holder.is_not(None), until > now)
    if wanted.claim == "unclaimed":
        return or_(holder.is_(None), until.is_(None), until <= now)
    me = wanted.person.id if wanted.person else ""
    return or_(and_(holder == me, until > now), col(ApprovalRow.assigned_to) == me)


def _own(person: Person) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    team: Any = col(ApprovalRow.team)
    if person.teams:
        found.append(or_(team.is_(None), team.in_(person.teams)))
    if person.languages:
        spoken = [_speaks(one) for one in person.languages]
        found.append(or_(col(ApprovalRow.language).is_(None), *spoken))
    return found
