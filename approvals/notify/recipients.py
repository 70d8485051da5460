"""Recipients of an event: the people who can act on it, and webhooks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from keyturn.approvals.auth import dual_control, permissions
from keyturn.approvals.auth.permissions import Action
from keyturn.approvals.notify import contents, own_account
from keyturn.orchestrator.rules.errors import StoreUnavailable
from keyturn.orchestrator.rules.notice import ACCOUNT_KINDS, MAILED_BY_DEFAULT, Channel
from keyturn.orchestrator.store.approvals.eligibility import (
    person_of,
    why_not,
)
from keyturn.orchestrator.store.db import row_codes
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.notices import webhooks
from keyturn.orchestrator.store.notices.fan_out import Event, NewNotice
from keyturn.orchestrator.store.tables import ApprovalRow, PersonRow, RunRow, WebhookRow

# For events that concern no single approval: the action a recipient must be able to do.
WHO_ACTS: Mapping[str, Action] = {
    "run.handed_off": "handoffs.work",
    "effect.unknown": "effects.record",
    "incident.opened": "incidents.manage",
    "proposal.opened": "proposals.answer",
}

log = structlog.get_logger()


@dataclass(frozen=True)
class Planner:
    """Computes the notices of events; without `mails`, nobody is mailed."""

    mails: bool

    async def __call__(self, session: Tx, events: Sequence[Event]) -> list[NewNotice]:
        """Return one notice per event and recipient."""
        people = await _people(session) if self.mails else []
        hooks = await webhooks.enabled(session)
        made: list[NewNotice] = []
        for event in events:
            try:
                made += await _of(session, event, people, hooks)
            except (StoreUnavailable, DBAPIError):
                raise
            except Exception:
                # A malformed event must not block the others.
                log.exception("notice.not_made", event=event.id, kind=event.kind)
        return made


async def _of(
    session: Tx,
    event: Event,
    people: Sequence[PersonRow],
    hooks: Sequence[WebhookRow],
) -> list[NewNotice]:
    if event.kind in ACCOUNT_KINDS:
        return await _to_owner(session, event, people)
    payload = await contents.of(session, event)
    written = await _able(session, event, _wanting(people, event))
    posted = [hook for hook in hooks if _takes(hook, event)]
    return [
        *(_notice(event, payload, "mail", one.id) for one in written),
        *(_notice(event, payload, "webhook", one.id) for one in posted),
    ]


async def _to_owner(
    session: Tx, event: Event, people: Sequence[PersonRow]
) -> list[NewNotice]:
    """Return the notice to the owner of an event's account; webhooks get none."""
    owners = await own_account.owners(session, event)
    payload = await own_account.payload(session, event)
    return [
        _notice(event, payload, "mail", one.id, tenant=one.tenant)
        for one in people
        if one.id in owners
    ]


def wants(person: PersonRow, kind: str) -> bool:
    """Tell whether a person is mailed about this kind."""
    chosen = MAILED_BY_DEFAULT if person.mail_about is None else person.mail_about
    return kind in chosen


async def may_decide(
    session: Tx,
    approval: str | None,
    people: Sequence[PersonRow],
    *,
    at: datetime,
) -> list[PersonRow]:
    """Return those of `people` who may decide an approval at that time."""
    row = await session.get(ApprovalRow, approval) if approval else None
    run = await session.get(RunRow, row.run) if row is not None else None
    if row is None or run is None:
        return []
    asked = [(one, person_of(one)) for one in people]
    return [one for one, person in asked if why_not(row, run, person, now=at) is None]


async def _able(
    session: Tx, event: Event, people: Sequence[PersonRow]
) -> list[PersonRow]:
    """Return the people who can act on an event."""
    action = WHO_ACTS.get(event.kind)
    if action is not None:
        able = _allowed(event, people, _answering(event) or action)
        return [one for one in able if one.id != event.actor]
    if event.kind == "approval.assigned":
        row = await session.get(ApprovalRow, event.subject)
        return [one for one in people if row and one.id == row.assigned_to]
    return await may_decide(session, event.subject, people, at=event.at)


def _answering(event: Event) -> Action | None:
    """Return the action that answering a proposal requires, if it is one."""
    if event.kind != "proposal.opened":
        return None
    return dual_control.NEEDS.get(str(event.payload.get("kind")))  # pyright: ignore[reportArgumentType] any text


def _allowed(
    event: Event, people: Sequence[PersonRow], action: Action
) -> list[PersonRow]:
    return [
        one
        for one in people
        if one.tenant in (None, event.tenant)
        and permissions.may(person_of(one), action)
    ]


def _wanting(people: Sequence[PersonRow], event: Event) -> list[PersonRow]:
    return [one for one in people if wants(one, event.kind)]


def _takes(hook: WebhookRow, event: Event) -> bool:
    return hook.tenant in (None, event.tenant) and (
        not hook.events or event.kind in hook.events
    )


async def _people(session: Tx) -> list[PersonRow]:
    query = select(PersonRow).where(
        col(PersonRow.kind) == "person", col(PersonRow.disabled_at).is_(None)
    )
    found = (await session.execute(query)).scalars()
    return [one for one in found if row_codes.is_genuine(session, one)]


def _notice(
    event: Event,
    payload: contents.Payload,
    channel: Channel,
    target: str,
    *,
    tenant: str | None = None,
) -> NewNotice:
    is_approval = event.kind.startswith("approval.")
    return NewNotice(
        event=event.id,
        kind=event.kind,
        channel=channel,
        target=target,
        tenant=tenant if tenant is not None else event.tenant,
        run=event.run,
        approval=event.subject if is_approval else None,
        payload=payload,
    )
