"""Hand-offs over HTTP: taken over, noted on, settled outside."""

import httpx2

from keyturn.orchestrator.store.runs import end
from keyturn.orchestrator.store.runs.end import Ending
from tests.approvals.desk import Desk
from tests.approvals.people import People

RUNS = "/api/v1/runs"


async def _handed_off(desk: Desk) -> str:
    run = await desk.run()
    ending = Ending(outcome="handed_off", reason="refusal", detail="It would not.")
    await end.finish(desk.store, run.id, ending)
    return run.id


async def test_one_person_takes_a_hand_off_over(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await _handed_off(desk)
    ann, bob = await people.token("ann"), await people.token("bob")

    first = await http.post(f"{RUNS}/{run}:take", headers=ann)
    again = await http.post(f"{RUNS}/{run}:take", headers=ann)
    other = await http.post(f"{RUNS}/{run}:take", headers=bob)

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["handed_off"]["reason"] == "refusal"
    assert first.json()["handed_off"]["taken"]["by"] == "Ann"
    assert other.status_code == 409
    assert "Ann" in other.json()["detail"]


async def test_what_was_done_outside_is_recorded_once(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await _handed_off(desk)
    headers = await people.token("ann")
    said = {"text": "Refunded by bank transfer."}

    first = await http.post(f"{RUNS}/{run}:done-outside", json=said, headers=headers)
    again = await http.post(f"{RUNS}/{run}:done-outside", json=said, headers=headers)

    assert first.json()["handed_off"]["done_outside"]["text"] == said["text"]
    assert again.status_code == 409


async def test_only_what_was_handed_off_is_taken(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run()

    answer = await http.post(f"{RUNS}/{run.id}:take", headers=await people.token("ann"))

    assert answer.status_code == 409
    assert "queued" in answer.json()["detail"]


async def test_a_note_stands_in_the_trace(
    http: httpx2.AsyncClient, desk: Desk, people: People
) -> None:
    run = await desk.run()
    headers = await people.token("ann")

    noted = await http.post(
        f"{RUNS}/{run.id}/notes", json={"text": "Called her."}, headers=headers
    )
    trace = await http.get(f"{RUNS}/{run.id}/trace", headers=headers)

    assert noted.status_code == 201
    assert trace.json()["notes"] == [noted.json()]
    assert noted.json()["person_name"] == "Ann"
