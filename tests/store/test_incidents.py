"""Incidents: opened once for each source, closed by a person with a reason."""

import asyncio

import pytest

from orchestrator.errors import InvalidValue, NotFound
from orchestrator.store import incidents
from orchestrator.store.incidents import IncidentClosed, NewIncident
from orchestrator.store.tables import IncidentRow
from tests.store.desk import Desk

TWICE = NewIncident(
    severity="high",
    title="A refund was paid twice",
    source="statement:twice:k1",
    detail={"effect": "k1"},
    tenant="t1",
)


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
