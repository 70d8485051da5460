"""P2: an external id names one run and one message, whatever comes with it."""

from typing import Any

import pytest

from keyturn.orchestrator.store.tables import RunRow
from tests.approvals.api.counter import RUNS, Counter, ticket
from tests.tenancy import declare

OTHER = {
    "input": {"input": {"customer_id": "c1", "text": "something else"}},
    "customer": {"input": ticket("c2")},
    "tenant": {"tenant": "north"},
    "spelled": {"source": " ZENDESK", "external_id": "t-1 ", "input": ticket("c2")},
}


@pytest.mark.parametrize("other", OTHER.values(), ids=list(OTHER))
async def test_p02_an_external_id_with_another_input_is_refused(
    counter: Counter, other: dict[str, Any]
) -> None:
    await declare(counter.desk.store, "north")
    ann = await counter.people.token("ann")
    named = {"source": "zendesk", "external_id": "T-1"}
    first = await counter.start(ann, **named)

    again = await counter.start(ann, **named)
    answer = await counter.start(ann, **{**named, **other})

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:keyturn:problem:external-id-reused"
    # The run of another tenant is not told of.
    assert (first.json()["id"] in answer.text) == ("tenant" not in other)
    assert len(await counter.desk.rows(RunRow)) == 1


async def test_p02_an_external_id_in_another_spelling_is_the_first_run(
    counter: Counter,
) -> None:
    ann = await counter.people.token("ann")
    first = await counter.start(ann, source="zendesk", external_id="T-1")

    again = await counter.start(ann, source="Zendesk ", external_id="\uff54-1")

    assert again.status_code == 200
    assert again.json()["id"] == first.json()["id"]


async def test_p02_a_source_belongs_to_the_service_that_uses_it(
    counter: Counter,
) -> None:
    ours = await counter.people.token("ours", kind="service")
    theirs = await counter.people.token("theirs", kind="service")
    first = await counter.start(ours, source="zendesk", external_id="T-1")

    same = await counter.start(theirs, source="zendesk", external_id="T-1")
    squat = await counter.start(theirs, source="ZENDESK", external_id="T-2")
    later = await counter.start(ours, source="zendesk", external_id="T-2")

    assert (first.status_code, same.status_code, squat.status_code) == (202, 403, 403)
    assert first.json()["id"] not in same.text
    assert later.status_code == 202


async def test_p02_external_ids_without_a_source_are_each_accounts_own(
    counter: Counter,
) -> None:
    headers = [await counter.people.token(name) for name in ("ann", "ben")]

    runs = [(await counter.start(who, external_id="1")).json() for who in headers]

    assert runs[0]["id"] != runs[1]["id"]


async def test_p02_a_message_of_one_external_id_has_one_text(counter: Counter) -> None:
    ann = await counter.people.token("ann")
    run = (await counter.start(ann)).json()["id"]
    path, sent = f"{RUNS}/{run}/messages", {"text": "Hello?", "external_id": "m1"}

    answers = [
        await counter.http.post(path, json={**sent, **more}, headers=ann)
        for more in ({}, {}, {"text": "Something else"})
    ]

    assert [one.status_code for one in answers] == [200, 200, 409]
