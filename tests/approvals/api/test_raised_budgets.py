"""P4, P11 over HTTP: a budget that holds runs is raised by two people."""

import httpx2
import pytest

from keyturn.orchestrator.rules.authority import hold
from keyturn.orchestrator.rules.money.budget import Needs
from keyturn.orchestrator.store.budgets import reservations
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.tables import StepRow
from keyturn.orchestrator.store.turns import position
from tests.approvals.desk import Desk
from tests.approvals.people import People

RAISE = "/api/v1/budgets:raise"


async def _held(store: Store, desk: Desk) -> str:
    """Return a run that its own budget holds: 200,000 tokens, of which none is used."""
    run = await desk.run()
    async with store.write() as session:
        now = await session.read_clock()
        if await session.get(StepRow, (run.id, 1)) is None:
            session.add(
                StepRow(run=run.id, step=1, name="act", kind="act", created_at=now)
            )
        await reservations.locked(session, f"run {run.id}")
    at = await position.load(store, run=run.id, step=1, turn=1)
    needs = Needs(scope=f"run {run.id}", tokens=250_000, microusd=10_000)
    assert await position.stop(store, at, hold.by_budget(needs.scope), needs)
    return run.id


async def test_p04_a_budget_is_raised_over_http_by_two_people(
    http: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await _held(store, desk)
    olga = await people.token("olga", role="operator")
    otto = await people.token("otto", role="admin")
    wanted = {"scope": f"run {run}", "tokens": 300_000, "reason": "A long talk."}

    asked = await http.post(RAISE, json=wanted, headers=olga)
    confirm = f"/api/v1/proposals/{asked.json()['id']}:confirm"
    alone = await http.post(confirm, json={}, headers=olga)
    done = await http.post(confirm, json={}, headers=otto)
    params = {"run": run}
    listed = await http.get("/api/v1/budgets", params=params, headers=olga)

    assert (asked.status_code, alone.status_code, done.status_code) == (202, 403, 200)
    assert asked.json()["kind"] == "budget.raise"
    assert asked.json()["target"]["before"]["tokens"] == 200_000
    assert listed.json()["items"][0]["limit_tokens"] == 300_000


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"tokens": 200_000}, 422, "is not a raise"),
        ({"tokens": 2_000_001}, 422, "can reach 2,000,000 tokens at most"),
        ({"usd": "0.60"}, 422, "is too little for any run to continue"),
        ({"usd": "much"}, 422, "usd"),
        ({"tokens": True}, 422, "tokens"),
        ({"scope": "all", "tokens": 9}, 422, "There is no budget"),
        ({"scope": "run run-0", "tokens": 9}, 404, "no run"),
        ({"scope": "tenant default on 2020-01-01", "usd": "30"}, 409, "by themselves"),
        (
            {"scope": "tenant default on 2999-01-01", "usd": "30"},
            409,
            "stops no run now",
        ),
    ],
    ids=str,
)
async def test_p04_a_raise_that_is_none_is_refused_over_http(  # noqa: PLR0917 fixtures
    http: httpx2.AsyncClient,
    store: Store,
    desk: Desk,
    people: People,
    body: dict[str, object],
    status: int,
    words: str,
) -> None:
    run = await _held(store, desk)
    olga = await people.token("olga", role="operator")

    wanted = {"scope": f"run {run}", "reason": "A long talk.", **body}
    answer = await http.post(RAISE, json=wanted, headers=olga)

    assert answer.status_code == status
    assert words in answer.json()["detail"]


async def test_p11_a_lead_raises_no_budget(
    http: httpx2.AsyncClient, store: Store, desk: Desk, people: People
) -> None:
    run = await _held(store, desk)
    lea = await people.token("lea", role="lead")

    wanted = {"scope": f"run {run}", "tokens": 300_000, "reason": "A long talk."}
    answer = await http.post(RAISE, json=wanted, headers=lea)

    assert answer.status_code == 403
    assert "admin, operator may" in answer.json()["detail"]
