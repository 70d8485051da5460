"""P2: how an unknown effect is settled: by a receipt, or by a person with evidence."""

from datetime import timedelta

import pytest

from keyturn.orchestrator.store.effects import errors, resolution, send
from keyturn.orchestrator.store.effects.errors import NeedsAnother
from keyturn.orchestrator.store.effects.resolution import Resolution
from keyturn.orchestrator.store.ledger.effects import Outcome
from keyturn.orchestrator.store.tables import IncidentRow, OutboxRow
from tests.orchestrator.store.desk import Desk
from tests.orchestrator.store.effects.leases import LEASE_OVER

HAPPENED = Resolution(
    happened=True, evidence="bank statement", person="lea", person_name="Lea"
)
NEVER = HAPPENED.model_copy(update={"happened": False})


async def test_p02_a_late_receipt_confirms_and_rings(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    desk.clock.go_on(LEASE_OVER)
    await desk.lease(run, holder="h2")
    before = len(await desk.rows(OutboxRow, run=run, kind="wake"))

    status = await desk.record(grant, "done")

    assert status == "done"
    assert (await desk.call(run)).status == "done"
    assert len(await desk.rows(OutboxRow, run=run, kind="wake")) == before + 1


@pytest.mark.parametrize("who", ["lea", "reconcile"])
async def test_p02_a_receipt_for_what_was_said_not_to_have_happened_alarms(
    desk: Desk, who: str
) -> None:
    """It may have been done once more since: people look before a customer does."""
    run = await desk.approved()
    grant = await desk.send(run)
    desk.clock.go_on(LEASE_OVER)
    await desk.lease(run, holder="h2")
    absent = Outcome(kind="failed", words="not there")
    await send.record(desk.store, grant, absent, recorded_by=who)

    said = [await desk.record(grant, "done"), await desk.record(grant, "done")]

    [incident] = await desk.rows(IncidentRow)
    assert said == ["done", "done"]
    assert incident.severity == "critical"
    assert incident.detail["effect"] == grant.key
    assert set(incident.named) == {"amy", who}


async def test_p02_an_unknown_effect_is_never_sent_again(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "cut")
    desk.clock.go_on(timedelta(days=400))

    answer = await desk.lease(run, holder="h2")

    assert (answer.kind, answer.grant) == ("unknown", None)


async def test_p02_a_person_records_what_happened_and_the_run_is_rung(
    desk: Desk,
) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "cut")

    await resolution.resolve(desk.store, grant.key, HAPPENED)

    effect = await desk.effect(grant.key)
    assert (effect.status, effect.recorded_by) == ("done", "lea")
    assert (await desk.lease(run, holder="h2")).kind == "done"
    assert await desk.rows(OutboxRow, run=run, kind="wake")


async def test_p02_a_receipt_that_contradicts_a_person_is_kept(desk: Desk) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "cut")
    desk.clock.go_on(timedelta(minutes=1))
    await resolution.resolve(desk.store, grant.key, NEVER)

    await desk.record(grant, "done")

    assert (await desk.effect(grant.key)).status == "done"


async def test_p02_a_receipt_that_confirms_a_person_is_kept_beside_their_words(
    desk: Desk,
) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "cut")
    await resolution.resolve(desk.store, grant.key, HAPPENED)

    for id_ in ("re_1", "re_2"):
        assert await desk.record(grant, "done", receipt={"id": id_}) == "done"

    effect = await desk.effect(grant.key)
    assert (effect.receipt, effect.recorded_by) == ({"id": "re_1"}, "lea")
    assert effect.evidence == HAPPENED.evidence
    assert (await desk.audit(run)).count("effect.receipt") == 1


async def test_p02_nobody_says_that_it_never_happened_while_it_may_yet(
    desk: Desk,
) -> None:
    """A provider may go on with what timed out: its books show nothing so far."""
    grant = await desk.send(await desk.approved())
    await desk.record(grant, "unknown", "time-out")
    lease_until = (await desk.effect(grant.key)).lease_until
    over = lease_until + send.SETTLED

    for at in (desk.clock.at, over - timedelta(seconds=1)):
        desk.clock.at = at
        with pytest.raises(errors.NotSettled, match="may still be carried out"):
            await resolution.resolve(desk.store, grant.key, NEVER)
    held = await desk.effect(grant.key)
    desk.clock.at = over
    freed = await resolution.resolve(desk.store, grant.key, NEVER)

    assert (held.status, held.recorded_by, freed.status) == ("unknown", None, "failed")


async def test_p02_an_absence_proves_nothing_while_a_request_may_be_on_its_way(
    desk: Desk,
) -> None:
    run = await desk.approved()
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "time-out")

    at_once = await send.absent_until(desk.store, grant.key)
    desk.clock.go_on(timedelta(minutes=1))
    later = await send.absent_until(desk.store, grant.key)

    assert at_once is not None
    assert later is None


@pytest.mark.parametrize("who", ["approver", "starter", "customer"])
async def test_p02_whoever_wanted_it_does_not_say_that_it_never_happened(
    desk: Desk, who: str
) -> None:
    """Else one person approves a refund, says that it failed, and approves it again."""
    run = await desk.approved(started_by="lea", customer="lou")
    grant = await desk.send(run)
    await desk.record(grant, "unknown", "time-out")
    person = {"approver": "amy", "starter": "lea", "customer": "lou"}[who]
    absent = NEVER.model_copy(update={"person": person})
    desk.clock.go_on(timedelta(minutes=1))

    with pytest.raises(NeedsAnother, match="another person"):
        await resolution.resolve(desk.store, grant.key, absent)

    other = absent.model_copy(update={"person": "bob"})
    assert (await desk.effect(grant.key)).status == "unknown"
    assert (await resolution.resolve(desk.store, grant.key, other)).status == "failed"


async def test_p02_whoever_approved_it_may_say_that_it_happened(desk: Desk) -> None:
    grant = await desk.send(await desk.approved())
    await desk.record(grant, "unknown", "time-out")
    happened = HAPPENED.model_copy(update={"person": "amy"})

    assert (await resolution.resolve(desk.store, grant.key, happened)).status == "done"
