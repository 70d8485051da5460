"""Matchings over HTTP: asked for by those who see every tenant, done by a worker."""

import httpx2
import pytest

from keyturn.activities.reconciliation import Matcher
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.people import People

URL = "/api/v1/matchings"


async def test_matching_is_asked_for_once_and_shown_when_a_worker_did_it(
    http: httpx2.AsyncClient, people: People, store: Store
) -> None:
    oz = await people.token("oz", role="operator")

    asked = await http.post(URL, headers=oz)
    again = await http.post(URL, headers=oz)
    await Matcher(store, None, None).match_due()
    shown = await http.get(f"{URL}/{asked.json()['id']}", headers=oz)
    listed = await http.get(URL, headers=oz)

    assert (asked.status_code, asked.json()["status"]) == (202, "asked")
    assert again.json()["id"] == asked.json()["id"]
    assert shown.json()["status"] == "failed"
    assert shown.json()["mail"]["state"] == "not_configured"
    assert listed.json()["items"] == [shown.json()]
    assert (await http.get(f"{URL}/none", headers=oz)).status_code == 404


@pytest.mark.parametrize(
    ("role", "tenant", "answers"),
    [
        ("agent", None, (403, 403)),
        ("auditor", None, (200, 403)),
        ("operator", None, (200, 202)),
        ("operator", "north", (403, 403)),
        ("admin", "north", (403, 403)),
    ],
)
async def test_the_books_are_for_those_who_see_every_tenant(
    http: httpx2.AsyncClient,
    people: People,
    role: str,
    tenant: str | None,
    answers: tuple[int, int],
) -> None:
    who = await people.token("one", role=role, tenant=tenant)

    read = await http.get(URL, headers=who)
    asked = await http.post(URL, headers=who)

    assert (read.status_code, asked.status_code) == answers
