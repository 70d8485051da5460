"""Two tenants with one object of every kind, and people of every role in each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import get_args

from keyturn.approvals.auth import accounts
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.authority.switch import Scope, Switch
from keyturn.orchestrator.rules.policy.rules import Role
from keyturn.orchestrator.store.audit import log
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.notices import webhooks
from keyturn.orchestrator.store.notices.webhooks import NewWebhook
from keyturn.orchestrator.store.people import accounts as person_accounts
from keyturn.orchestrator.store.people import sessions, tokens
from keyturn.orchestrator.store.people.accounts import NewPerson
from keyturn.orchestrator.store.runs import end, notes
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.tables import (
    BulkRow,
    IncidentRow,
    MatchingRow,
    MeterRow,
    NoticeRow,
    PersonRow,
    ProposalRow,
)
from tests.approvals.desk import RELEASE, Desk
from tests.tenancy import declare

ROLES: tuple[str, ...] = get_args(Role)
HERE, THERE = "alder", "zebra"
CSRF = "X-CSRF-Token"


@dataclass
class Key:
    """What opens the door for one person: a token, and a session of the browser's."""

    person: PersonRow
    token: dict[str, str]
    session: dict[str, str]
    spare: str
    # One that a page ends, and one that the API ends.
    spare_sessions: tuple[str, str]


@dataclass
class Estate:
    """One tenant's people, by role, and its objects' ids, by the noun in a path."""

    tenant: str | None
    keys: dict[str, Key] = field(default_factory=dict[str, Key])
    services: dict[str, Key] = field(default_factory=dict[str, Key])
    ids: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class World:
    """Both tenants, and the people of the whole installation."""

    store: Store
    here: Estate
    there: Estate
    whole: Estate

    # What belongs to no tenant: the installation's own.
    shared: Mapping[str, str] = field(
        default_factory=lambda: {
            "contracts": "support",
            "tools": "refund_order",
            "releases": RELEASE.hash(),
            "static": "app.css",
            "matchings": "matching-1",
        }
    )


async def build(store: Store) -> World:
    """Fill an empty, migrated store."""
    desk = Desk(store)
    await desk.open()
    world = World(store, Estate(HERE), Estate(THERE), Estate(None))
    for estate in (world.here, world.there, world.whole):
        await _people(store, estate)
    for estate in (world.here, world.there):
        await _objects(store, desk, estate)
    await _matching(store)
    return world


async def _matching(store: Store) -> None:
    async with store.write() as session:
        now = await session.read_clock()
        row = MatchingRow(
            id="matching-1", status="matched", asked_by="system", asked_at=now
        )
        session.add(row)


async def key(store: Store, new: NewPerson) -> Key:
    """Open an account with a token and a session, and one of each to spare."""
    if new.tenant is not None:
        await declare(store, new.tenant)
    bound = (new.tenant or "default",) if new.kind == "service" else ()
    row = await accounts.add(store, new, password=None)
    await person_accounts.waive_first_day(store, row.id, by="test")
    plain, _ = [
        await tokens.create(store, row.id, name=name, by=row.id, tenants=bound)
        for name in ("walk", "spare")
    ]
    async with store.read() as session:
        spare = [t for t in await tokens.listing(session, row.id) if t.name == "spare"]
    return Key(
        person=row,
        token={"authorization": f"Bearer {plain}"},
        session=await signed_in(store, row),
        spare=spare[0].id,
        spare_sessions=(
            (await sessions.begin(store, row, instead_of=None)).row.id,
            (await sessions.begin(store, row, instead_of=None)).row.id,
        ),
    )


async def signed_in(store: Store, person: PersonRow) -> dict[str, str]:
    """The headers of a browser that just signed in."""
    opened = await sessions.begin(store, person, instead_of=None)
    return {"cookie": f"keyturn={opened.cookie}", CSRF: opened.row.csrf}


async def with_token(store: Store, person: PersonRow) -> dict[str, str]:
    """The headers of a program with a token that was just made."""
    bound = (person.tenant or "default",) if person.kind == "service" else ()
    plain = await tokens.create(
        store, person.id, name="walk", by=person.id, tenants=bound
    )
    return {"authorization": f"Bearer {plain}"}


async def _people(store: Store, estate: Estate) -> None:
    where = estate.tenant or "whole"
    for kind, keys in (("person", estate.keys), ("service", estate.services)):
        for role in ROLES:
            new = NewPerson.model_validate(
                {
                    "name": f"{where} {kind} {role}",
                    "email": f"{kind}-{role}@{where}.example",
                    "role": role,
                    "kind": kind,
                    "tenant": estate.tenant,
                }
            )
            keys[role] = await key(store, new)


async def _objects(store: Store, desk: Desk, estate: Estate) -> None:
    name = estate.tenant or ""
    run = await desk.run(tenant=name, customer=f"{name}-customer")
    approval = await desk.approval(run, order=f"O-{name}")
    sent = await desk.approval(run, index=1, order=f"P-{name}")
    effect = await desk.effect(run, index=sent.index)
    handed = await desk.run(tenant=name, customer=f"{name}-customer")
    await end.finish(store, handed.id, Ending(outcome="handed_off", reason="refusal"))
    agent = estate.keys["agent"].person
    for one in (run, handed):
        await notes.add_note(
            store,
            one.id,
            person=Person(id=agent.id, name=agent.name, role=agent.role, session=""),
            text=f"A note of {name}",
        )
    estate.ids |= {
        "runs": run.id,
        "approvals": approval.id,
        "inbox": approval.id,
        "effects": effect.key,
        "handoffs": handed.id,
    }
    new = NewPerson(
        name=f"A service of {name}",
        email=f"spare@{name}.example",
        role="agent",
        kind="service",
        tenant=name,
    )
    spare = await key(store, new)
    estate.ids |= {"people": spare.person.id, "people/tokens": spare.spare}
    await _controls(store, estate, name)
    await _records(store, estate, name, run.id)


async def _controls(store: Store, estate: Estate, name: str) -> None:
    author = estate.keys["operator"].person.id
    async with store.read() as session:
        now = await session.read_clock()
    switch = Switch(
        id=f"switch-{name}",
        scope=Scope(tenant=name, tool="none"),
        mode="halt",
        reason=f"An incident at {name}",
        author=author,
        created_at=now,
    )
    await switches.put(store, switch)
    hook = await webhooks.add(
        store, NewWebhook(url=f"https://{name}.example/hook", tenant=name), by=author
    )
    estate.ids |= {"switches": switch.id, "webhooks": hook.id}


async def _records(store: Store, estate: Estate, name: str, run: str) -> None:
    async with store.write() as session:
        now = await session.read_clock()
        notice = NoticeRow(
            event=f"audit:{name}",
            kind="approval.asked",
            channel="webhook",
            target=estate.ids["webhooks"],
            tenant=name,
            run=run,
            payload={"type": "approval.asked", "for": name},
            created_at=now,
            due_at=now,
            dead_at=now,
            last_error=f"{name}.example answered 500",
        )
        incident = IncidentRow(
            id=f"incident-{name}",
            severity="high",
            title=f"Something at {name}",
            source=f"test:{name}",
            detail={"what": name},
            tenant=name,
            opened_by="system",
            created_at=now,
        )
        proposal = ProposalRow(
            id=f"proposal-{name}",
            kind="switch.clear",
            target={"switch": estate.ids["switches"], "set_at": now.isoformat()},
            tenant=name,
            reason=f"It is over at {name}",
            proposed_by=estate.keys["operator"].person.id,
            proposed_name=estate.keys["operator"].person.name,
            created_at=now,
            ends_at=now + timedelta(days=1),
        )
        # It has ended: one under way would hold the runs of the estate.
        bulk = BulkRow(
            id=f"bulk-{name}",
            verb="pause",
            tenant=name,
            by_tenant=name,
            reason=f"A pause at {name}",
            by=estate.keys["operator"].person.id,
            total=0,
            created_at=now,
            ended_at=now,
        )
        session.add_all([notice, incident, proposal, bulk])
        for scope in (f"run {run}", f"tenant {name} on {now:%Y-%m-%d}"):
            session.add(MeterRow(scope=scope, used_tokens=5, used_microusd=5))
        entry = log.Entry(
            actor=estate.keys["admin"].person.id,
            kind="person.added",
            tenant=name,
            subject=f"person-{name}",
            payload={"name": f"Somebody of {name}"},
        )
        log.record(session, entry, at=now)
        await session.flush()
        estate.ids |= {
            "notices": str(notice.id),
            "incidents": incident.id,
            "proposals": proposal.id,
            "bulks": bulk.id,
        }
