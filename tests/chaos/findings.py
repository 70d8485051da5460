"""What must be true in the end, read from the record and from the world's own books."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TypeVar

from sqlmodel import SQLModel, select

from keyturn.activities.connectors.smtp import message_id
from keyturn.orchestrator.rules.status import ENDED_RUNS
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
    EffectRow,
    OutboxRow,
    RunRow,
)

Call = tuple[str, int, int]
Row = TypeVar("Row", bound=SQLModel)


@dataclass(frozen=True)
class Record:
    """All rows that the checks look at."""

    runs: list[RunRow]
    calls: dict[Call, CallRow]
    approvals: list[ApprovalRow]
    decisions: dict[str, list[DecisionRow]]
    effects: list[EffectRow]
    outbox: list[OutboxRow]


async def read(url: str) -> Record:
    """The record as it is now."""
    store = Store(url)
    try:
        decisions: dict[str, list[DecisionRow]] = defaultdict(list)
        for one in await _all(store, DecisionRow):
            decisions[one.approval].append(one)
        return Record(
            runs=await _all(store, RunRow),
            calls={(c.run, c.turn, c.index): c for c in await _all(store, CallRow)},
            approvals=await _all(store, ApprovalRow),
            decisions=decisions,
            effects=await _all(store, EffectRow),
            outbox=await _all(store, OutboxRow),
        )
    finally:
        await store.close()


def wrong(
    record: Record, refunds: dict[str, int], mails: Counter[str], sender: str
) -> list[str]:
    """Everything that is not as it must be, in words."""
    # Tables are read one after the other: they agree once nothing moves any more.
    return _stuck(record) or [
        *_without_one_outcome(record),
        *_without_authority(record),
        *_apart_from_the_shop(record, refunds),
        *_apart_from_the_mailbox(record, mails, sender),
    ]


def _stuck(record: Record) -> list[str]:
    runs = [r for r in record.runs if r.status not in ENDED_RUNS]
    rows = [o for o in record.outbox if o.done_at is None]
    ended = {r.id for r in record.runs if r.status in ENDED_RUNS}
    return [
        *(f"{r.id} ({r.external_id}) is {r.status}: {r.stopped_by}" for r in runs),
        *(
            f"outbox {o.id} of {o.run} ({o.kind}) is open: {o.last_error}"
            for o in rows
            if o.run not in ended
        ),
    ]


def _without_one_outcome(record: Record) -> list[str]:
    """An approved action has one done effect or a recorded end; a rejected one none."""
    found: list[str] = []
    for one in record.approvals:
        key: Call = (one.run, one.turn, one.index)
        call = record.calls[key]
        effects = [
            e
            for e in record.effects
            if (e.run, e.turn, e.index) == key and e.revision == one.revision
        ]
        states = Counter(e.status for e in effects)
        match one.status:
            case "approved":
                has_one = states.total() == 1 and call.status != "open"
                was_refused = not effects and call.status in ("refused", "failed")
                if not has_one and not was_refused:
                    found.append(f"{one.id} approved: {states}, call {call.status}")
            case "rejected" | "changes" | "expired":
                if effects or call.status == "open":
                    found.append(f"{one.id} {one.status}: {states} {call.status}")
            case "pending":
                found.append(f"{one.id} is still pending")
            case _:
                pass
        if one.status in ("approved", "rejected") and not record.decisions[one.id]:
            found.append(f"{one.id} is {one.status} and nobody decided")
    return found


def _without_authority(record: Record) -> list[str]:
    """Whatever was sent was allowed by policy, or approved by enough people."""
    approvals = {one.id: one for one in record.approvals}
    found: list[str] = []
    for one in record.effects:
        call = record.calls[one.run, one.turn, one.index]
        verdict = (call.verdict or {}).get("kind")
        if one.approval is None:
            if verdict != "allow":
                found.append(f"{one.key} has no approval; its verdict is {verdict}")
            continue
        asked = approvals[one.approval]
        yes = {d.person for d in record.decisions[asked.id] if d.decision == "approve"}
        if asked.status != "approved" or len(yes) < asked.needed:
            found.append(f"{one.key}: {asked.id} is {asked.status} by {len(yes)}")
        if asked.consumed_by != one.key:
            found.append(f"{asked.id} was used by {asked.consumed_by}, not {one.key}")
    return found


def _apart_from_the_shop(record: Record, refunds: dict[str, int]) -> list[str]:
    done = {
        e.key: e.amount
        for e in record.effects
        if e.tool == "refund_order" and e.status == "done"
    }
    return [
        f"refund {key}: the ledger says {done.get(key)}, the shop {refunds.get(key)}"
        for key in sorted(set(done) | set(refunds))
        if done.get(key) != refunds.get(key)
    ]


def _apart_from_the_mailbox(
    record: Record, mails: Counter[str], sender: str
) -> list[str]:
    done = {
        message_id(e.key, sender): e.key
        for e in record.effects
        if e.tool == "email_customer" and e.status == "done"
    }
    return [
        f"mail {done.get(name, name)}: came {mails[name]} times, done: {name in done}"
        for name in sorted(set(done) | set(mails))
        if mails[name] != (name in done)
    ]


async def _all(store: Store, table: type[Row]) -> list[Row]:
    async with store.read() as session:
        return list((await session.execute(select(table))).scalars())
