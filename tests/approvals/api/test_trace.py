"""A run's whole record in one answer (P13)."""

import httpx2

from keyturn.orchestrator.rules.text import canonical
from keyturn.orchestrator.store.budgets import reservations, settlement
from keyturn.orchestrator.store.budgets.limits import Bounds
from keyturn.orchestrator.store.budgets.reservations import Reservation
from keyturn.orchestrator.store.budgets.settlement import Used
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import MessageRow, RunRow, StepRow, TurnRow
from keyturn.orchestrator.store.turns import position
from tests.approvals.desk import Desk
from tests.approvals.people import People


async def _turn(store: Store, run: RunRow) -> None:
    now = run.created_at
    step = StepRow(run=run.id, step=1, name="main", kind="act", created_at=now)
    await position.begin_step(
        store, step, lambda _release, _input: "My lamp is broken."
    )
    wanted = Reservation(
        attempt="attempt-1",
        run=run.id,
        turn=1,
        number=1,
        provider="openai",
        model="gpt",
        tokens=1_000,
        cost_microusd=10_000,
    )
    scopes = {f"run {run.id}": Bounds(tokens=2_000, cost_microusd=500_000)}
    await reservations.reserve(store, wanted, scopes)
    used = Used(input_tokens=40, output_tokens=2, cost_microusd=1_234)
    await settlement.settle(store, "attempt-1", used)
    async with store.write() as session:
        session.add(
            TurnRow(
                run=run.id,
                turn=1,
                step=1,
                result=canonical.text({"kind": "calls"}),
                model="gpt",
                provider="openai",
                tokens=42,
                cost_microusd=1_234,
                created_at=now,
            )
        )
        session.add(
            MessageRow(
                run=run.id,
                turn=1,
                index=0,
                role="assistant",
                text="I will refund it.",
                created_at=now,
            )
        )


async def test_p13_a_trace_has_all_that_a_run_left(
    http: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run()
    await _turn(store, run)
    await desk.approval(run)
    await desk.effect(run)
    headers = await people.token("ann")

    answer = await http.get(f"/api/v1/runs/{run.id}/trace", headers=headers)

    trace = answer.json()
    assert answer.status_code == 200
    assert trace["run"]["cost_usd"] == "0.001234"
    assert trace["run"]["pending"] == [trace["approvals"][0]["id"]]
    assert trace["input"] == {"customer_id": "c-1", "text": "My lamp is broken."}
    assert [step["name"] for step in trace["steps"]] == ["main"]
    assert [one["text"] for one in trace["messages"]] == [
        "My lamp is broken.",
        "I will refund it.",
    ]
    assert trace["turns"][0]["result"] == {"kind": "calls"}
    assert trace["calls"][0]["id"] == f"{run.id}:1.0"
    assert trace["attempts"][0]["cost_usd"] == "0.001234"
    assert trace["effects"][0]["key"] == f"{run.id}:1.0.0"
    # Where the rest was written by the test itself, its rows are all that is said.
    kinds = [row["kind"] for row in trace["audit"] if row["kind"] != "row.changed"]
    assert kinds == ["run.started", "approval.asked"]


async def test_a_budget_shows_what_was_used_and_what_may_be(
    http: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await desk.run(tenant="north")
    await _turn(store, run)
    headers = await people.token("ann")
    north = await people.token("nora", tenant="north")
    south = await people.token("sue", tenant="south")

    answers = [
        await http.get("/api/v1/budgets", params=params, headers=asker)
        for params, asker in (
            ({}, headers),
            ({"run": run.id}, north),
            ({"kind": "tenant"}, headers),
            ({"run": run.id}, south),
        )
    ]

    found = [one.json()["items"] for one in answers]
    assert [len(items) for items in found] == [1, 1, 0, 0]
    assert found[0][0] == {
        "scope": f"run {run.id}",
        "kind": "run",
        "limit_turns": 40,
        "used_tokens": 42,
        "held_tokens": 0,
        "limit_tokens": 200_000,
        "used_usd": "0.001234",
        "held_usd": "0.000000",
        "limit_usd": "0.500000",
    }
