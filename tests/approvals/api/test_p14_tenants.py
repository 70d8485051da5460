"""P14: a tenant is declared by two people, and a token reaches those that it names."""

from keyturn.orchestrator.store.tables import RunRow
from tests.approvals.api.counter import API, RUNS, Counter
from tests.tenancy import declare


async def test_p14_an_undeclared_tenant_is_refused_with_those_that_one_sees(
    counter: Counter,
) -> None:
    await declare(counter.desk.store, "north")
    ann = await counter.people.token("ann")
    ben = await counter.people.token("ben", tenant="south")

    unknown = await counter.start(ann, tenant="nroth")
    foreign = await counter.start(ben, tenant="nroth")

    words = unknown.json()["detail"]
    assert unknown.status_code == 422
    assert unknown.json()["type"] == "urn:keyturn:problem:undeclared-tenant"
    for part in ("'nroth'", "default, north, south", "keyturn tenant"):
        assert part in words
    assert foreign.status_code == 403
    assert "north" not in foreign.text
    assert await counter.desk.rows(RunRow) == []


async def test_p14_a_service_starts_runs_for_the_tenants_of_its_token_alone(
    counter: Counter,
) -> None:
    await declare(counter.desk.store, "north", "south")
    north = await counter.people.token("bot", kind="service", tenant="north")

    own = await counter.start(north)
    other = await counter.start(north, tenant="south")

    assert (own.status_code, own.json()["tenant"]) == (202, "north")
    assert other.status_code == 403
    assert "bound to north" in other.json()["detail"]


async def test_p14_a_service_of_several_tenants_sees_one_at_a_time(
    counter: Counter,
) -> None:
    await declare(counter.desk.store, "north", "south", "west")
    ada = await counter.people.token("ada", role="admin")
    bot = (await counter.people.named("bot", kind="service")).id
    path = f"{API}/people/{bot}/tokens"
    scopes = ["read", "runs.start", "runs.message"]
    unsaid = await counter.http.post(
        path, json={"name": "x", "scopes": scopes}, headers=ada
    )
    made = await counter.http.post(
        path,
        json={
            "name": "x",
            "scopes": scopes,
            "tenants": ["north", "south"],
            "days": 1,
        },
        headers=ada,
    )
    token = {"Authorization": f"Bearer {made.json()['secret']}"}

    started = [await counter.start(token, tenant=one) for one in ("north", "south")]
    unnamed = await counter.start(token)
    beyond = await counter.start(token, tenant="west")
    west = await counter.start(await counter.people.token("ann"), tenant="west")
    chosen = {**token, "Keyturn-Tenant": "north"}
    listed = await counter.http.get(RUNS, headers=chosen)
    blind = await counter.http.get(RUNS, headers=token)
    message = {"text": "Hello?"}
    theirs = f"{RUNS}/{west.json()['id']}"
    written = await counter.http.post(f"{theirs}/messages", json=message, headers=token)
    own = f"{RUNS}/{started[1].json()['id']}/messages"
    answered = await counter.http.post(own, json=message, headers=token)
    foreign = {**token, "Keyturn-Tenant": "west"}

    assert unsaid.status_code == 422
    assert [one.status_code for one in started] == [202, 202]
    assert (unnamed.status_code, beyond.status_code) == (403, 403)
    assert [one["tenant"] for one in listed.json()["items"]] == ["north"]
    assert blind.status_code == 403
    assert (written.status_code, answered.status_code) == (404, 200)
    assert (await counter.http.get(RUNS, headers=foreign)).status_code == 403


async def test_p14_a_key_gives_no_answer_to_a_token_of_other_tenants(
    counter: Counter,
) -> None:
    await declare(counter.desk.store, "north", "south", "west")
    ada = await counter.people.token("ada", role="admin")
    bot = (await counter.people.named("bot", kind="service")).id
    tokens: list[dict[str, str]] = []
    for own in (["north", "south"], ["south", "west"]):
        wanted = {"name": "x", "scopes": ["runs.start"], "tenants": own, "days": 1}
        made = await counter.http.post(
            f"{API}/people/{bot}/tokens", json=wanted, headers=ada
        )
        tokens.append({"Authorization": f"Bearer {made.json()['secret']}"})
    key = {"Idempotency-Key": "k-1"}

    first = await counter.start({**tokens[0], **key}, tenant="north")
    same = await counter.start({**tokens[0], **key}, tenant="north")
    other = await counter.start({**tokens[1], **key}, tenant="north")

    assert (first.status_code, same.status_code) == (202, 202)
    assert first.json()["id"] == same.json()["id"]
    assert other.status_code in {403, 422}
    assert first.json()["id"] not in other.text


async def test_p14_a_tenant_takes_two_people(counter: Counter) -> None:
    ada = await counter.people.token("ada", role="admin")
    bea = await counter.people.token("bea", role="admin")
    tom = await counter.people.token("tom", role="admin", tenant="south")
    wanted = {"name": "north", "reason": "A new shop."}

    asked = await counter.http.post(f"{API}/tenants", json=wanted, headers=ada)
    confirm = f"{API}/proposals/{asked.json()['id']}:confirm"
    refused = await counter.start(ada, tenant="north")
    alone = await counter.http.post(confirm, headers=ada)
    hidden = await counter.http.post(confirm, headers=tom)
    confirmed = await counter.http.post(confirm, headers=bea)
    started = await counter.start(ada, tenant="north")
    twin = await counter.http.post(
        f"{API}/tenants", json={**wanted, "name": "North"}, headers=ada
    )
    theirs = await counter.http.get(f"{API}/tenants", headers=tom)

    assert (asked.status_code, refused.status_code) == (202, 422)
    assert (alone.status_code, hidden.status_code) == (403, 404)
    assert (confirmed.status_code, started.status_code) == (200, 202)
    assert twin.status_code == 409
    assert [one["name"] for one in theirs.json()["items"]] == ["south"]
