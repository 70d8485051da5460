"""What was done and failed later comes back to people; its money is freed by them."""

import asyncio
from datetime import timedelta

import pytest

from keyturn.orchestrator.rules.authority.person import Person
from keyturn.orchestrator.store.effects import late_failure, resolution
from keyturn.orchestrator.store.effects.errors import NeedsAnother, NotDone, NotUnknown
from keyturn.orchestrator.store.effects.late_failure import Later
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.runs import end, handoffs
from keyturn.orchestrator.store.runs.end import Ending
from keyturn.orchestrator.store.tables import EffectRow, IncidentRow, RunRow
from keyturn.orchestrator.store.views import inbox
from tests.databases import both
from tests.orchestrator.store.desk import Desk, person, refund

BOUNCED = Later(
    how="reversed",
    words="The bank sent it back.",
    by="system",
    by_name="the statement",
    reference="R-1",
)
LEA: Person = person("lea")


async def done(desk: Desk, cents: int = 50_00) -> tuple[str, str]:
    """Return a run that has ended and its refund that was done."""
    run = await desk.approved(cents)
    grant = await desk.do(run)
    await end.finish(desk.store, run, Ending(outcome="completed"))
    return run, grant.key


async def found(desk: Desk, key: str, *, stayed: bool, who: str = "lea") -> EffectRow:
    return await resolution.resolve(
        desk.store,
        key,
        Resolution(
            happened=stayed, evidence="Ticket B-7", person=who, person_name=who.title()
        ),
    )


async def in_queue(desk: Desk) -> list[str]:
    async with desk.store.read() as session:
        found = await inbox.handoffs(session, tenant=None, limit=100)
    return [run.id for run, _ in found]


@both
async def test_later_failure_reopens_the_item_once(desk: Desk) -> None:
    run, key = await done(desk)

    opened = await asyncio.gather(
        *(late_failure.reopen(desk.store, key, BOUNCED) for _ in range(4))
    )

    effect = await desk.effect(key)
    assert sum(one is not None for one in opened) == 1
    assert (effect.status, effect.reopened_at is not None) == ("done", True)
    assert (await desk.run(run)).status == "handed_off"
    assert await in_queue(desk) == [run]
    [incident] = await desk.rows(IncidentRow)
    assert incident.detail["effect"] == key
    assert (await desk.audit(run)).count("effect.reopened") == 1


async def test_p04_money_of_a_later_failure_is_freed_by_a_person_alone(
    desk: Desk,
) -> None:
    _, key = await done(desk, 600_00)
    await late_failure.reopen(desk.store, key, BOUNCED)

    before = await desk.lease(await approved(desk, "o2", 600_00))
    for approver in ("lea", "lou"):
        with pytest.raises(NeedsAnother, match="failed later"):
            await found(desk, key, stayed=False, who=approver)
    await found(desk, key, stayed=False, who="amy")
    after = await desk.lease(await approved(desk, "o3", 600_00))

    assert (before.kind, after.kind) == ("refused", "leased")
    effect = await desk.effect(key)
    assert (effect.status, effect.recorded_by) == ("failed", "amy")
    assert effect.later is not None
    assert effect.later["stayed"] is False


async def approved(desk: Desk, order: str, cents: int) -> str:
    run = await desk.start()
    await desk.draft(run, refund(cents, order=order))
    for who in ("lea", "lou"):
        await desk.decide(run, who)
    return run


async def test_statement_that_was_wrong_changes_nothing(desk: Desk) -> None:
    _, key = await done(desk)
    await late_failure.reopen(desk.store, key, BOUNCED)

    await found(desk, key, stayed=True)
    again = await late_failure.reopen(desk.store, key, BOUNCED)

    effect = await desk.effect(key)
    assert again is None
    assert (effect.status, effect.reopened_at) == ("done", None)
    with pytest.raises(NotUnknown):
        await found(desk, key, stayed=False)


async def test_two_statements_that_go_on_saying_so_are_each_heard_once(
    desk: Desk,
) -> None:
    """One lists it as failed and one as reversed, both of them every day."""
    _, key = await done(desk)
    failed = BOUNCED.model_copy(update={"how": "failed"})

    for said in (failed, BOUNCED, failed, BOUNCED):
        await late_failure.reopen(desk.store, key, said)

    assert len(await desk.rows(IncidentRow)) == 2
    effect = await desk.effect(key)
    assert (effect.status, effect.reopened_at is not None) == ("done", True)


async def test_whoever_reported_it_does_not_free_its_money(desk: Desk) -> None:
    _, key = await done(desk)
    said = BOUNCED.model_copy(update={"by": "lea", "by_name": "Lea"})
    await late_failure.reopen(desk.store, key, said)

    with pytest.raises(NeedsAnother):
        await found(desk, key, stayed=False, who="lea")
    await found(desk, key, stayed=False, who="lou")

    assert (await desk.effect(key)).status == "failed"


@both
async def test_of_two_who_settle_it_one_wins(desk: Desk) -> None:
    _, key = await done(desk)
    await late_failure.reopen(desk.store, key, BOUNCED)

    ended = await asyncio.gather(
        found(desk, key, stayed=True, who="lea"),
        found(desk, key, stayed=False, who="lou"),
        return_exceptions=True,
    )

    assert sum(isinstance(one, NotUnknown) for one in ended) == 1


@pytest.mark.parametrize("status", ["unknown", "failed"])
async def test_only_what_was_done_fails_later(desk: Desk, status: str) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, status)

    with pytest.raises(NotDone, match=status):
        await late_failure.reopen(desk.store, grant.key, BOUNCED)


async def test_late_receipt_does_not_undo_what_a_person_recorded(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.do(run)
    await late_failure.reopen(desk.store, grant.key, BOUNCED)
    await found(desk, grant.key, stayed=False)

    assert await desk.record(grant, "done") == "failed"


async def test_open_run_is_handed_off_when_it_ends(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.do(run)
    await late_failure.reopen(desk.store, grant.key, BOUNCED)

    assert await in_queue(desk) == []
    await end.finish(desk.store, run, Ending(outcome="completed"))

    row = await desk.run(run)
    assert row.status == "handed_off"
    assert row.handed_off is not None
    assert row.handed_off["reason"] == "refund was done and failed later"


async def test_hand_off_that_was_settled_comes_back(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.do(run)
    await end.finish(desk.store, run, Ending(outcome="handed_off", reason="refusal"))
    await handoffs.take(desk.store, run, person("amy"))
    await handoffs.settle(desk.store, run, person("amy"), text="Wrote to her.")
    assert await in_queue(desk) == []

    await late_failure.reopen(desk.store, grant.key, BOUNCED)

    assert await in_queue(desk) == [run]
    async with desk.store.read() as session:
        assert (await inbox.counts(session, tenant=None))[1:] == (1, 1)
    await handoffs.take(desk.store, run, LEA)
    await handoffs.settle(desk.store, run, LEA, text="Paid by cheque.")
    assert await in_queue(desk) == []


async def test_reopened_incident_is_seen_by_its_tenant(desk: Desk) -> None:
    _, key = await done(desk)
    desk.clock.go_on(timedelta(days=40))
    await late_failure.reopen(desk.store, key, BOUNCED)

    async with desk.store.read() as session:
        assert await incidents.open_count(session, tenant="default") == 1
        assert await incidents.open_count(session, tenant="other") == 0
    assert len(await desk.rows(RunRow, status="handed_off")) == 1
