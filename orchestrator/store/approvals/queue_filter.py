"""Queues: which approvals a person looks at, by team, language and claim."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, String, cast, exists, false, literal, tuple_
from sqlmodel import and_, col, func, not_, or_

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.policy.rules import APPROVER_RANK
from keyturn.orchestrator.rules.status import ApprovalStatus
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.rules.text import language as text_language
from keyturn.orchestrator.store.db import open_rows
from keyturn.orchestrator.store.tables import ApprovalRow, DecisionRow, RunRow
from keyturn.orchestrator.store.tables.types import Utc

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


class Place(BaseModel):
    """A place in the queue: behind this approval as its time to answer was then."""

    model_config = ConfigDict(frozen=True)

    answer_by: datetime
    id: str

    @classmethod
    def of(cls, row: ApprovalRow) -> "Place":
        """Return the place directly after an approval."""
        return cls(answer_by=row.answer_by, id=row.id)

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """Return the place that `str` wrote, or None for any other text."""
        stamp, dot, name = text.partition(".")
        if not dot or not _MICROSECONDS.fullmatch(stamp):
            return None
        return cls(answer_by=_EPOCH + timedelta(microseconds=int(stamp)), id=name)

    def __str__(self) -> str:
        """Return the place as a page's cursor contains it."""
        return f"{(self.answer_by - _EPOCH) // timedelta(microseconds=1)}.{self.id}"

    def behind(self) -> ColumnElement[bool]:
        """Match the approvals after this place."""
        here = tuple_(literal(self.answer_by, Utc), literal(self.id))
        return tuple_(col(ApprovalRow.answer_by), col(ApprovalRow.id)) > here


# Long enough for a day of the year 9999; a longer text is not a place of ours.
_MICROSECONDS = re.compile(r"[0-9]{1,17}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def conditions(wanted: Filter, *, now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions of a query for approvals."""
    names = ("tenant", "tool", "workflow", "team")
    found = [] if wanted.status is None else [_in_state(wanted.status)]
    found += [
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


def may_approve(person: Person, *, now: datetime) -> list[ColumnElement[bool]]:
    """Match what this person may approve, in a query that joins the runs.

    Agrees with `eligibility.why_not` except for the spelling of addresses: call that,
    too.
    """
    is_new = person.approves_from is not None and person.approves_from > now
    if person.kind != "person" or is_new:
        return [false()]
    rank = APPROVER_RANK.get(person.role, 0)
    roles = [role for role, asked in APPROVER_RANK.items() if asked <= rank]
    starter: Any = col(RunRow.started_by)
    found = [
        col(ApprovalRow.role).in_(roles),
        or_(starter.is_(None), starter != person.id),
        col(RunRow.customer) != person.id,
        or_(~_is_assigned(), col(ApprovalRow.assigned_to) == person.id),
        cast(col(ApprovalRow.not_by), String).not_like(_quoted(person.id), escape="/"),
        not_(_answered_by(person.id)),
    ]
    if person.email is not None:
        contact: Any = col(RunRow.contact)
        other = func.lower(contact) != person.email.lower()
        found.append(or_(contact.is_(None), other))
    return found


def free_for(person: Person, *, now: datetime) -> ColumnElement[bool]:
    """Match approvals that no other person holds now."""
    holder, until = col(ApprovalRow.claimed_by), col(ApprovalRow.claim_until)
    return or_(holder.is_(None), holder == person.id, until.is_(None), until <= now)


def _in_state(status: ApprovalStatus) -> ColumnElement[bool]:
    if status == "pending":
        return open_rows.approvals()
    return col(ApprovalRow.status) == status


def _is_assigned() -> ColumnElement[bool]:
    verdict: Any = ApprovalRow.verdict
    return func.coalesce(verdict["assign"].as_boolean(), false())


def _quoted(name: str) -> str:
    """Return the pattern that matches a name in a JSON list."""
    text = canonical.text(name)
    for sign in "/%_":
        text = text.replace(sign, f"/{sign}")
    return f"%{text}%"


def _answered_by(person: str) -> ColumnElement[bool]:
    return exists().where(
        col(DecisionRow.approval) == col(ApprovalRow.id),
        col(DecisionRow.person) == person,
    )


def _speaks(language: str) -> ColumnElement[bool]:
    tag, asked = text_language.normal(language), col(ApprovalRow.language)
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
