"""Failures of approvals that happened elsewhere, over HTTP and on the record."""

import asyncio
from datetime import timedelta

import httpx2
import pytest
from pydantic import JsonValue
from sqlmodel import select

from keyturn.orchestrator.store.approvals.errors import AlreadyDecided
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import (
    ApprovalRow,
    CallRow,
    DecisionRow,
    EffectRow,
    OutboxRow,
)
from tests.approvals.desk import Desk
from tests.approvals.people import People
from tests.databases import both
from tests.orchestrator.store import desk as records
from tests.orchestrator.store.desk import refund

APPROVALS = "/api/v1/approvals"
DAY = timedelta(days=1)
Json = dict[str, JsonValue]


def wanted(cents: int, **more: JsonValue) -> Json:
    """Return the refund that waits, with another amount or other fields."""
    amount: Json = {"amount": cents, "currency": "USD"}
    return {"order_id": "O-1", "amount": amount, "reason": "It came broken.", **more}


async def _decide(
    http: httpx2.AsyncClient, headers: dict[str, str], approval: str, **body: JsonValue
) -> httpx2.Response:
    url = f"{APPROVALS}/{approval}:decide"
    body.setdefault("decision", "approve")
    return await http.post(url, json=body, headers=headers)


async def _binding(row: ApprovalRow) -> str:
    assert row.binding is not None
    return row.binding


async def test_a_stale_button_approves_no_other_call(
    http: httpx2.AsyncClient, desk: Desk, people: People, store: Store
) -> None:
    run = await desk.run()
    first = await desk.approval(run)
    second = await desk.approval(run, index=1, order="O-2")
    ann, bob = await people.token("ann"), await people.token("bob")
    more = wanted(200_00)
    edited = await _decide(
        http, bob, first.id, binding=await _binding(first), arguments=more
    )

    stale = await _decide(http, ann, first.id, binding=await _binding(first))
    other = await _decide(http, ann, second.id, binding=await _binding(first))
    fresh = edited.json()["id"]
    new = await _decide(http, ann, fresh, binding=await _binding(first))

    assert [one.status_code for one in (stale, other, new)] == [409, 412, 412]
    async with store.read() as session:
        query = select(ApprovalRow).where(ApprovalRow.status == "approved")
        assert list((await session.execute(query)).scalars()) == []


@pytest.mark.parametrize("decision", ["reject", "change"])
async def test_declining_carries_nothing_out(
    http: httpx2.AsyncClient,
    desk: Desk,
    people: People,
    store: Store,
    decision: str,
) -> None:
    row = await desk.approval(await desk.run())

    answer = await _decide(
        http,
        await people.token("ann"),
        row.id,
        binding=await _binding(row),
        decision=decision,
        reason="No.",
        arguments=wanted(1_00),
    )

    assert answer.status_code in (200, 422)
    async with store.read() as session:
        call = await session.get(CallRow, (row.run, 1, 0))
        effects = (await session.execute(select(EffectRow))).scalars().all()
    assert call is not None
    assert (call.effective, list(effects)) == (None, [])
    assert answer.json().get("status") != "approved"


@pytest.mark.parametrize(
    "more",
    [
        {"tool": "find_order"},
        {"arguments": wanted(80_00, tool="find_order")},
        {"arguments": {"name": "email", "arguments": wanted(80_00)}},
    ],
    ids=["beside", "inside", "wrapped"],
)
async def test_an_edit_does_not_switch_the_tool(
    http: httpx2.AsyncClient, desk: Desk, people: People, more: Json
) -> None:
    row = await desk.approval(await desk.run())

    answer = await _decide(
        http, await people.token("ann"), row.id, binding=await _binding(row), **more
    )

    assert answer.status_code == 422
    shown = await http.get(f"{APPROVALS}/{row.id}", headers=await people.token("ann"))
    assert (shown.json()["tool"], shown.json()["status"]) == ("refund_order", "pending")


async def test_an_edit_goes_through_policy_again(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    row = await desk.approval(await desk.run())
    ann = await people.token("ann")
    binding = await _binding(row)

    denied = await _decide(
        http, ann, row.id, binding=binding, arguments=wanted(5_000_01)
    )
    raised = await _decide(http, ann, row.id, binding=binding, arguments=wanted(600_00))

    assert denied.status_code == 422
    assert "no rule matches" in denied.json()["detail"]
    fresh = raised.json()
    assert (fresh["status"], fresh["needed"], fresh["role"]) == ("pending", 2, "lead")


@pytest.mark.parametrize(
    "named",
    [
        {"person": "bob"},
        {"person_name": "Bob"},
        {"approver": "bob"},
        {"decided_by": "bob"},
        {"user": "bob"},
        {"session": "s-bob"},
    ],
    ids=lambda one: next(iter(one)),
)
async def test_who_approves_is_the_session_and_never_the_body(
    http: httpx2.AsyncClient, desk: Desk, people: People, store: Store, named: Json
) -> None:
    row = await desk.approval(await desk.run())
    binding = await _binding(row)
    headers = {**await people.token("ann"), "X-Forwarded-User": "bob"}

    told = await _decide(http, headers, row.id, binding=binding, **named)
    plain = await _decide(http, headers, row.id, binding=binding)

    assert (told.status_code, plain.status_code) == (422, 200)
    async with store.read() as session:
        [one] = (await session.execute(select(DecisionRow))).scalars()
    assert one.person == (await people.named("ann")).id


@both
async def test_two_decisions_in_one_millisecond_have_one_outcome(
    record: records.Desk,
) -> None:
    run = await record.start()
    await record.draft(run, refund())
    asked = await record.approval(run)
    record.clock.step = timedelta(0)

    answers = await asyncio.gather(
        record.answer(asked, "approve", "amy"),
        record.answer(asked, "reject", "bob"),
        return_exceptions=True,
    )

    lost = [one for one in answers if isinstance(one, BaseException)]
    assert [type(one) for one in lost] == [AlreadyDecided]
    [decision] = await record.rows(DecisionRow)
    settled = await record.approval(run)
    assert decision.at == record.clock.at
    assert (
        settled.status
        == {"approve": "approved", "reject": "rejected"}[decision.decision]
    )
    assert len(await record.rows(OutboxRow, kind="decision")) == 1


@both
async def test_two_people_in_one_millisecond_are_two_people(
    record: records.Desk,
) -> None:
    run = await record.start()
    await record.draft(run, refund(600_00))
    asked = await record.approval(run)
    record.clock.step = timedelta(0)

    await asyncio.gather(
        record.answer(asked, "approve", "lea"), record.answer(asked, "approve", "lou")
    )
    with pytest.raises(AlreadyDecided):
        await record.answer(asked, "approve", "lea")

    record.clock.step = timedelta(milliseconds=1)
    effect = await record.effect((await record.granted(run)).key)
    assert sorted(effect.approvers) == ["lea", "lou"]
    assert len({one.at for one in await record.rows(DecisionRow)}) == 1


async def test_nothing_is_accepted_after_its_time(record: records.Desk) -> None:
    run = await record.start()
    await record.draft(run, refund())
    asked = await record.approval(run)
    record.clock.go_on(asked.answer_by - record.clock.at + timedelta(milliseconds=1))

    with pytest.raises(AlreadyDecided, match="before it was decided"):
        await record.answer(asked, "approve")

    assert await record.rows(DecisionRow) == []
    assert (await record.lease(run)).kind == "expired"


async def test_a_yes_that_was_given_in_time_does_not_last_for_ever(
    record: records.Desk,
) -> None:
    run = await record.start()
    await record.draft(run, refund())
    await record.decide(run)
    record.clock.go_on(DAY + timedelta(seconds=1))

    answer = await record.lease(run)

    assert (answer.kind, answer.grant) == ("waiting", None)
    assert (await record.approval(run, "pending")).revision == 1


async def test_a_rejection_turned_into_a_yes_in_the_database_is_none(
    record: records.Desk,
) -> None:
    run = await record.start()
    await record.draft(run, refund())
    asked = await record.approval(run)
    await record.answer(asked, "reject")
    await record.tamper(
        await record.approval(run),
        status="approved",
        usable_until=record.clock.at + DAY,
    )
    [decision] = await record.rows(DecisionRow)
    await record.tamper(decision, decision="approve")

    answer = await record.lease(run)

    assert (answer.kind, answer.grant) == ("refused", None)
    assert await record.rows(EffectRow) == []


async def test_an_approval_is_no_flag_that_a_second_run_finds_set(
    record: records.Desk,
) -> None:
    first, second = await record.start(), await record.start()
    await record.draft(first, refund())
    await record.draft(second, refund())
    await record.decide(first)
    await record.do(first)

    answers = [
        await record.lease(run, holder=holder)
        for run in (first, second)
        for holder in ("h2", "h3")
    ]

    assert [one.kind for one in answers] == ["done", "done", "waiting", "waiting"]
    assert len(await record.rows(EffectRow)) == 1
