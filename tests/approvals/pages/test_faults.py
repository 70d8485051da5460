"""What a fault of code shows of its run: to operators its words, to others our own."""

import pytest

from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.runs import faults
from keyturn.orchestrator.store.runs import lookup as run_lookup
from keyturn.orchestrator.store.runs.faults import Fault
from tests.approvals.pages.conftest import Doors
from tests.approvals.pages.seed import Seed

FOREIGN = "relation <b>turns</b> is odd, password=hunter2222"
PLACES = {"turn 3": "IntegrityError", faults.ENGINE: "NondeterminismError"}


@pytest.fixture
async def run(store: Store, seed: Seed) -> str:
    """A run of which two places fail, one of them twice."""
    run = seed.runs["lamp"]
    for place, kind in (*PLACES.items(), ("turn 3", "IntegrityError")):
        await faults.note(store, run, Fault(place=place, kind=kind, words=FOREIGN))
    return run


async def test_an_operator_reads_the_scrubbed_words_on_the_page(
    doors: Doors, run: str
) -> None:
    page = (await (await doors.visit("operator")).get(f"/runs/{run}")).text

    assert "turn 3 failed 2 times (IntegrityError): being retried" in page
    assert f"{faults.ENGINE} failed once (NondeterminismError)" in page
    assert "relation &lt;b&gt;turns&lt;/b&gt; is odd" in page
    assert "hunter2222" not in page


async def test_an_agent_reads_our_sentence_and_a_reference(
    doors: Doors, run: str
) -> None:
    page = (await (await doors.visit("agent")).get(f"/runs/{run}")).text

    assert "turn 3 failed 2 times (IntegrityError): being retried" in page
    assert f"An operator can see the error; give them the reference {run}." in page
    assert "relation" not in page


async def test_the_api_says_where_how_often_and_since_when(
    doors: Doors, store: Store, seed: Seed, run: str
) -> None:
    client = (await doors.visit("operator")).client
    person = seed.people["operator"].id
    token = await tokens.create(store, person, name="test", by=person)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    answer = await client.get(f"/api/v1/runs/{run}", headers=headers)

    shown = answer.json()["failing"]
    assert {one["place"]: one["kind"] for one in shown} == PLACES
    assert [one["times"] for one in shown] == [2, 1]
    assert not any(one["given_up"] or one["since"] > one["last"] for one in shown)
    assert "relation" not in answer.text


async def test_what_is_given_up_is_said_to_be_so_on_page_and_api(
    doors: Doors, store: Store, run: str
) -> None:
    await faults.give_up(store, run, "turn 3", ends_run=True, alarms=False)

    page = (await (await doors.visit("operator")).get(f"/runs/{run}")).text

    async with store.read() as session:
        row = await run_lookup.get(session, run)
    assert "turn 3 failed 2 times (IntegrityError): given up" in page
    assert [one.given_up for one in faults.of(row)] == [True, False]


async def test_what_is_healed_is_shown_no_more(
    doors: Doors, store: Store, run: str
) -> None:
    for place in PLACES:
        await faults.heal(store, run, place)

    page = (await (await doors.visit("operator")).get(f"/runs/{run}")).text

    assert "IntegrityError" not in page
    assert "tried again" not in page
