"""The record of one desk without Temporal: runs, drafts, decisions and leases."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from pydantic import JsonValue
from sqlalchemy import inspect
from sqlmodel import SQLModel, select

from keyturn.orchestrator.rules.authority.binding import Signer, Verifier, new_key
from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.rules.authority.switch import Switch
from keyturn.orchestrator.rules.contract import registry
from keyturn.orchestrator.rules.contract import release as releasing
from keyturn.orchestrator.rules.contract.release import Release
from keyturn.orchestrator.rules.money.money import Money
from keyturn.orchestrator.rules.text import canonical, model_notices
from keyturn.orchestrator.store.approvals import decide as approval_decide
from keyturn.orchestrator.store.approvals.decision import Answer
from keyturn.orchestrator.store.db import roles
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.effects import lease as effect_lease
from keyturn.orchestrator.store.effects import send as effect_send
from keyturn.orchestrator.store.effects.send import Sending
from keyturn.orchestrator.store.ledger.effects import (
    CallRef,
    Facts,
    Grant,
    LeaseAnswer,
    Outcome,
)
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.releases.trust import Trust
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs import start as run_start
from keyturn.orchestrator.store.runs.start import NewRun
from keyturn.orchestrator.store.switches import switches
from keyturn.orchestrator.store.switches.switches import Barrier
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    AuditRow,
    CallRow,
    EffectRow,
    PersonRow,
    RunRow,
    StepRow,
)
from keyturn.orchestrator.store.turns import commit
from keyturn.orchestrator.store.turns import position as turn_position
from keyturn.orchestrator.store.turns.turn import Committed, DraftedCall, Gated, Turn
from tests.databases import patient
from tests.orchestrator.store.clock import Hands
from tests.tenancy import declare
from tests.whole import check_whole, is_chosen

FACTS = '{"customer":"c1","order_id":"o1","refunded":0,"status":"delivered"}'
PEOPLE = {"amy": "agent", "bob": "agent", "lea": "lead", "lou": "lead"}
WITHIN = timedelta(seconds=10)
Table = TypeVar("Table", bound=SQLModel)


@dataclass
class Desk:
    """Handles on the record, in the words of a test."""

    store: Store
    clock: Hands
    signer: Signer
    trust: Trust
    release: Release
    # The same record with each process's own account, where the database has accounts.
    accounts: dict[str, Store] = field(default_factory=dict[str, Store])
    # Whether nobody wrote past us into the record; then it is compared in the end.
    is_honest: bool = True

    @property
    def web(self) -> Store:
        return self.accounts.get(roles.WEB, self.store)

    @property
    def worker(self) -> Store:
        return self.accounts.get(roles.WORKER, self.store)

    @property
    def effects(self) -> Store:
        return self.accounts.get(roles.EFFECTS, self.store)

    async def start(self, **more: Any) -> str:
        """Start a run and return its id."""
        run = await self.again(**more)
        step = StepRow(run=run, step=1, name="act", kind="act", created_at=self.clock())
        await turn_position.begin_step(
            self.worker, step, lambda _release, _input: "hello"
        )
        return run

    async def again(self, **more: Any) -> str:
        """Start a run, or find the one that was started so before."""
        fields: dict[str, Any] = {"workflow": "desk", "tenant": "default", **more}
        ticket = {"customer_id": fields.pop("customer", "c1"), "text": "hello"}
        await declare(self.store, fields["tenant"])
        row, _ = await run_start.start(self.web, NewRun(input=ticket, **fields))
        return row.id

    async def draft(
        self,
        run: str,
        *calls: DraftedCall,
        turn: int = 1,
        read: Sequence[int] = (),
    ) -> list[Gated]:
        """Commit a turn with these calls and return their gates."""
        seen: list[Gated] = []

        def save(made: Committed) -> str:
            seen.extend(made.calls)
            return "{}"

        position = await turn_position.load(self.worker, run=run, step=1, turn=turn)
        drafted = Turn(
            run=run,
            step=1,
            turn=turn,
            text=canonical.text({"text": "I will."}),
            calls=calls,
            read_messages=tuple(read),
        )
        await commit.commit(self.worker, drafted, save, position)
        return seen

    async def lease(
        self,
        run: str,
        *,
        turn: int = 1,
        index: int = 0,
        holder: str = "h1",
        **facts: Any,
    ) -> LeaseAnswer:
        """Ask for the lease with facts as `perform` would read them."""
        call = await self.call(run, turn, index)
        arguments = call.effective or call.arguments
        given = {
            "revision": call.revision,
            "arguments": arguments,
            "preview": "{}" if call.tool != "refund" else FACTS,
            "money": money_of(arguments),
            **facts,
        }
        return await effect_lease.lease(
            self.effects,
            self.trust,
            CallRef(run=run, turn=turn, index=index),
            Facts.model_validate(given),
            holder=holder,
        )

    async def give_up(
        self, run: str, words: str = "no such order", revision: int | None = None
    ) -> LeaseAnswer:
        """Say that the facts cannot be read, of the call's revision where not said."""
        known = (await self.call(run)).revision if revision is None else revision
        ref = CallRef(run=run, turn=1, index=0)
        return await effect_lease.give_up(
            self.effects,
            ref,
            revision=known,
            notice=model_notices.call_failed(words=words),
        )

    async def granted(self, run: str, **more: Any) -> Grant:
        """Return the grant, which must be given."""
        answer = await self.lease(run, **more)
        assert answer.grant is not None, answer
        return answer.grant

    async def begin(self, grant: Grant, *, holder: str = "h1") -> Sending:
        """Begin to send."""
        return await effect_send.begin(
            self.effects, grant, holder=holder, within=WITHIN
        )

    async def send(self, run: str, **more: Any) -> Grant:
        """Lease and begin to send; both must be allowed."""
        grant = await self.granted(run, **more)
        assert (await self.begin(grant, holder=more.get("holder", "h1"))).may_send
        return grant

    async def record(
        self, grant: Grant, kind: str, words: str = "ok", **more: Any
    ) -> str:
        """Record an outcome and return the effect's status."""
        outcome = Outcome.model_validate({"kind": kind, "words": words, **more})
        return (await effect_send.record(self.effects, grant, outcome)).status

    async def do(self, run: str, **more: Any) -> Grant:
        """Carry out a whole effect."""
        grant = await self.send(run, **more)
        assert await self.record(grant, "done") == "done"
        return grant

    async def decide(
        self, run: str, who: str = "amy", decision: str = "approve", **more: Any
    ) -> ApprovalRow:
        """Decide the run's pending approval as `who`."""
        return await self.answer(
            await self.approval(run, "pending"), decision, who, **more
        )

    async def answer(
        self, row: ApprovalRow, decision: str, who: str = "amy", **more: Any
    ) -> ApprovalRow:
        """Decide this approval as `who`."""
        given = {"decision": decision, "binding": row.binding, "reason": "so", **more}
        return await approval_decide.decide(
            self.web, self.signer, person(who), row.id, Answer.model_validate(given)
        )

    async def approval(self, run: str, status: str | None = None) -> ApprovalRow:
        """Return the run's latest approval of that status."""
        found = [
            one
            for one in await self.rows(ApprovalRow, run=run)
            if status in (None, one.status)
        ]
        return max(found, key=lambda one: (one.turn, one.index, one.revision))

    async def call(self, run: str, turn: int = 1, index: int = 0) -> CallRow:
        """Return a call."""
        async with self.store.read() as session:
            row = await session.get(CallRow, (run, turn, index))
        assert row is not None
        return row

    async def effect(self, key: str) -> EffectRow:
        """Return an effect."""
        async with self.store.read() as session:
            row = await session.get(EffectRow, key)
        assert row is not None
        return row

    async def run(self, run: str) -> RunRow:
        """Return a run."""
        async with self.store.read() as session:
            return await run_lookup.get(session, run)

    async def audit(self, run: str) -> list[str]:
        """Return the kinds of the run's audit rows, in order."""
        rows = await self.rows(AuditRow, run=run)
        return [one.kind for one in sorted(rows, key=lambda one: one.id or 0)]

    async def rows(self, table: type[Table], **equal: Any) -> list[Table]:
        """Return the rows of a table that have these values, by their keys."""
        query = select(table).order_by(*inspect(table).primary_key)
        for name, value in equal.items():
            query = query.where(getattr(table, name) == value)
        async with self.store.read() as session:
            return list((await session.execute(query)).scalars())

    async def tamper(self, row: SQLModel, **changes: Any) -> None:
        """Write straight into the database, as an attacker who reached it."""
        self.is_honest = False
        async with self.store.write() as session:
            fresh = await session.merge(row)
            for name, value in changes.items():
                setattr(fresh, name, value)

    async def switch(self, mode: str, *, name: str = "s1", **more: Any) -> Barrier:
        """Set a switch; `more` are its scope's fields, or `value` and `until`."""
        fields: dict[str, Any] = {
            "id": name,
            "mode": mode,
            "reason": "look",
            "author": "lea",
            "created_at": self.clock(),
            "value": more.pop("value", None),
            "until": more.pop("until", None),
            "scope": more,
        }
        return await switches.put(self.web, Switch.model_validate(fields))

    async def approved(self, cents: int = 50_00, **more: Any) -> str:
        """Start a run with a refund that its people have approved."""
        run = await self.start(**more)
        await self.draft(run, refund(cents))
        for who in ("lea", "lou") if cents > 500_00 else ("amy",):
            await self.decide(run, who)
        return run

    async def go_live(self, **changes: Any) -> Release:
        """Make another release live; runs that began stay on theirs."""
        fresh = self.release.model_copy(update=changes)
        await releases.publish(self.web, fresh, code_version="2", signer=self.signer)
        return fresh


def person(name: str, **more: Any) -> Person:
    """Return one of the desk's people as a session knows them."""
    role = PEOPLE.get(name, "agent")
    fields = {"id": name, "name": name.title(), "role": role, "session": f"s-{name}"}
    return Person.model_validate({**fields, **more})


def refund(cents: int = 50_00, *, index: int = 0, order: str = "o1") -> DraftedCall:
    """Return a drafted refund with its facts and money."""
    arguments: JsonValue = {
        "order_id": order,
        "amount": {"amount": cents, "currency": "USD"},
        "reason": "late",
    }
    return DraftedCall(
        index=index,
        tool="refund",
        provider_id="call_1",
        arguments=canonical.text(arguments),
        preview=FACTS,
        money=Money(cents, "USD"),
    )


def top_up(cents: int = 5_00) -> DraftedCall:
    """Return a drafted call under a key that its provider honours."""
    return refund(cents).model_copy(update={"tool": "top_up", "preview": "{}"})


def note(index: int = 0, *, order: str = "o1", text: str = "hm") -> DraftedCall:
    """Return a drafted note: a write that the rules allow outright."""
    arguments = canonical.text({"order_id": order, "note": text})
    return DraftedCall(
        index=index, tool="set_note", provider_id="call_1", arguments=arguments
    )


def mail(index: int = 0) -> DraftedCall:
    """Return a drafted mail to the customer."""
    arguments = canonical.text({"subject": "Refund", "body": "We refunded you."})
    return DraftedCall(
        index=index, tool="write_mail", provider_id="call_1", arguments=arguments
    )


def money_of(arguments: str) -> Money | None:
    value = canonical.parse(arguments)
    found = value.get("amount") if isinstance(value, dict) else None
    return Money(**found) if isinstance(found, dict) else None  # pyright: ignore[reportArgumentType] the desk's own


@asynccontextmanager
async def open_desk(url: str, **changes: Any) -> AsyncGenerator[Desk]:
    """Open a desk on a database with tables alone; `changes` are those of its release."""
    clock, key = Hands(), new_key()
    accounts: dict[str, Store] = {}
    store = patient(url, clock=clock)
    try:
        made = unchanged().model_copy(update=changes)
        signer = Signer(key)
        await releases.publish(store, made, code_version="1", signer=signer)
        await _hire(store)
        accounts = {
            role: patient(roles.as_role(url, role), clock=clock)
            for role in roles.ROLES
            if not store.is_sqlite
        }
        desk = Desk(store, clock, signer, Trust(Verifier(key)), made, accounts)
        yield desk
        if desk.is_honest and desk.store is store and is_chosen():
            await check_whole(store, desk.trust.verifier)
    finally:
        await asyncio.gather(*(one.close() for one in (store, *accounts.values())))


@cache
def unchanged() -> Release:
    """Return the release of the desk's own contract."""
    loaded = registry.load(("tests.apps.desk",))
    return releasing.of(loaded.contracts["desk"], loaded.tools, loaded.aliases)


async def _hire(store: Store) -> None:
    async with store.write() as session:
        for name, role in PEOPLE.items():
            session.add(
                PersonRow(
                    id=name,
                    name=name.title(),
                    email=f"{name}@example.com",
                    role=role,
                    created_at=await session.read_clock(),
                )
            )
