"""Incidents: opened once for each source, closed by a person with a reason."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from keyturn.orchestrator.rules.errors import InvalidValue, NotFound
from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.dual_control import break_glass, requests
from keyturn.orchestrator.store.effects import late_failure
from keyturn.orchestrator.store.effects.late_failure import Later
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.errors import IncidentClosed, MayNotClose
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.people.tokens import NewToken
from keyturn.orchestrator.store.tables import IncidentRow, PersonRow
from tests.databases import both
from tests.orchestrator.store.desk import Desk, person, refund

TWICE = NewIncident(
    severity="high",
    title="A refund was paid twice",
    source="statement:twice:k1",
    detail={"effect": "k1"},
    tenant="t1",
)


@both
async def test_one_source_opens_one_incident_whoever_finds_it(desk: Desk) -> None:
    opened = await asyncio.gather(
        *(incidents.open_once(desk.store, TWICE, by="system") for _ in range(8))
    )

    assert sum(is_new for _, is_new in opened) == 1
    assert len(await desk.rows(IncidentRow)) == 1


async def test_closed_incident_is_not_opened_again(desk: Desk) -> None:
    row, _ = await incidents.open_once(desk.store, TWICE, by="system")
    await incidents.close(desk.store, row.id, by="lea", reason="Seen.", tenant=None)

    again, is_new = await incidents.open_once(desk.store, TWICE, by="system")

    assert (again.id, again.status, is_new) == (row.id, "closed", False)


@both
async def test_of_two_who_close_one_wins(desk: Desk) -> None:
    row, _ = await incidents.open_once(desk.store, TWICE, by="system")

    async def close(who: str) -> IncidentRow:
        return await incidents.close(
            desk.store, row.id, by=who, reason=f"{who} saw it.", tenant=None
        )

    ended = await asyncio.gather(close("lea"), close("lou"), return_exceptions=True)

    lost = [one for one in ended if isinstance(one, IncidentClosed)]
    [kept] = await desk.rows(IncidentRow)
    assert len(lost) == 1
    assert str(kept.close_reason) in str(lost[0])


async def test_other_tenants_incident_is_not_found(desk: Desk) -> None:
    row, _ = await incidents.open_once(desk.store, TWICE, by="system")

    async with desk.store.read() as session:
        with pytest.raises(NotFound):
            await incidents.get(session, row.id, tenant="t2")
        assert await incidents.listing(session, None, tenant="t2", limit=9) == []
        assert await incidents.open_count(session, tenant="t1") == 1
    with pytest.raises(NotFound):
        await incidents.close(desk.store, row.id, by="eve", reason="no", tenant="t2")


async def test_control_characters_are_refused(desk: Desk) -> None:
    with pytest.raises(InvalidValue, match=r"U\+0000"):
        await incidents.open_once(
            desk.store, TWICE.model_copy(update={"title": "a\x00b"}), by="system"
        )


CRITICAL = TWICE.model_copy(
    update={"severity": "critical", "tenant": None, "detail": {}, "source": "alarm"}
)


async def operators(desk: Desk, *names: str, **more: object) -> None:
    """Open accounts that may close incidents."""
    async with desk.store.write() as session:
        for name in names:
            fields: dict[str, Any] = {
                "id": name,
                "name": name.title(),
                "email": f"{name}@example.org",
                "role": "operator",
                "created_at": desk.clock(),
                **more,
            }
            session.add(PersonRow(**fields))


async def close(desk: Desk, row: IncidentRow, who: str) -> IncidentRow:
    return await incidents.close(
        desk.store, row.id, by=who, reason="Seen.", tenant=None
    )


@pytest.mark.parametrize("who", ["opener", "named"])
async def test_an_alarm_is_not_closed_by_whom_it_is_about(desk: Desk, who: str) -> None:
    await operators(desk, "opener", "named", "other")
    new = CRITICAL.model_copy(update={"named": ("named",)})
    row, _ = await incidents.open_once(desk.store, new, by="opener")

    with pytest.raises(
        MayNotClose, match=r"another person has to close it\. Ask Other"
    ):
        await close(desk, row, who)

    assert (await desk.rows(IncidentRow))[0].status == "open"
    assert (await close(desk, row, "other")).status == "closed"


async def test_an_alarm_about_the_only_one_stays_open_and_says_so(desk: Desk) -> None:
    await operators(desk, "only")
    new = CRITICAL.model_copy(update={"named": ("only",)})
    row, _ = await incidents.open_once(desk.store, new, by="cli:root")

    with pytest.raises(MayNotClose, match="keyturn user add"):
        await close(desk, row, "only")


async def test_an_alarm_is_not_closed_by_a_service_or_a_new_account(desk: Desk) -> None:
    await operators(desk, "robot", kind="service")
    await operators(desk, "new", approves_from=desk.clock() + timedelta(days=1))
    row, _ = await incidents.open_once(desk.store, CRITICAL, by="system")

    for who in ("robot", "new", "nobody"):
        with pytest.raises(MayNotClose):
            await close(desk, row, who)


async def test_an_alarm_about_an_effect_names_who_had_it_done(desk: Desk) -> None:
    run = await desk.approved(cents=600_00)
    grant = await desk.do(run)
    new = CRITICAL.model_copy(update={"detail": {"effect": grant.key}})

    row, _ = await incidents.open_once(desk.store, new, by="system")

    assert row.named == ["lea", "lou"]


async def test_whoever_raised_an_action_by_an_edit_does_not_close_its_alarm(
    desk: Desk,
) -> None:
    await operators(desk, "other")
    run = await desk.start()
    await desk.draft(run, refund(50_00))
    more = canonical.parse(refund(60_00).arguments)
    await desk.decide(run, "lea", arguments=more)
    await desk.lease(run)
    await desk.decide(run, "amy")
    key = (await desk.do(run)).key
    new = CRITICAL.model_copy(update={"detail": {"effect": key}})

    row, _ = await incidents.open_once(desk.store, new, by="system")

    assert "lea" not in (await desk.effect(key)).approvers
    with pytest.raises(MayNotClose, match="about you"):
        await close(desk, row, "lea")


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
async def test_whoever_reported_that_it_failed_does_not_close_its_alarm(
    desk: Desk, *, is_before: bool
) -> None:
    await operators(desk, "teller", "other")
    key = (await desk.do(await desk.approved())).key
    new = CRITICAL.model_copy(update={"detail": {"effect": key}})
    said = Later(how="failed", words="No.", by="teller", by_name="Teller")

    if is_before:
        await late_failure.reopen(desk.store, key, said)
    row, _ = await incidents.open_once(desk.store, new, by="system")
    if not is_before:
        await late_failure.reopen(desk.store, key, said)

    with pytest.raises(MayNotClose, match=r"about you.* Ask Other"):
        await close(desk, row, "teller")
    assert (await close(desk, row, "other")).status == "closed"


async def test_a_token_made_alone_for_a_person_is_an_alarm_that_names_them(
    desk: Desk,
) -> None:
    await operators(desk, "ola")
    _, is_loud = await break_glass.issue_token(
        desk.store, "ola", NewToken(name="mine"), by="cli:root"
    )

    [row] = await desk.rows(IncidentRow, severity="critical")
    assert is_loud
    assert (row.named, row.opened_by) == (["ola"], "cli:root")
    with pytest.raises(MayNotClose, match="about you"):
        await close(desk, row, "ola")


async def test_a_token_made_alone_for_a_service_is_no_alarm(desk: Desk) -> None:
    await operators(desk, "robot", kind="service")

    _, is_loud = await break_glass.issue_token(
        desk.store, "robot", NewToken(name="feed"), by="cli:root"
    )

    assert (is_loud, await desk.rows(IncidentRow)) == (False, [])


async def test_a_switch_lifted_alone_names_who_had_asked_for_it(desk: Desk) -> None:
    await operators(desk, "ola")
    await desk.switch("halt")
    asker = person("ola", role="operator")
    await requests.to_clear(desk.store, "s1", asker, reason="over")

    await break_glass.lift(desk.store, "s1", by="cli:root", reason="alone")

    [row] = await desk.rows(IncidentRow)
    assert row.named == ["ola"]
