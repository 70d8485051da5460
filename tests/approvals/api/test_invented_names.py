"""P2, P4, P14: what a caller writes in a request names no scope of its own.

Every field of every body is walked: one that ends up in the name of a limit, a budget, a
subject, an idempotent request or a switch has a probe below; a new one fails here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.runs import bulk
from keyturn.orchestrator.store.tables import RunRow, StepRow
from keyturn.orchestrator.store.turns import position
from tests.approvals.people import People
from tests.orchestrator.store.desk import Desk, open_desk, refund
from tests.orchestrator.store.ledger.test_p04_thresholds import ASK, NOTES, SMALL
from tests.tenancy import declare

API = "/api/v1"
RUNS = f"{API}/runs"
# Fields that end up in no scope's name: words, choices among what there is, times, and
# what is bound to a person or an object of the path.
PLAIN = frozenset(
    {"reason", "text", "words", "evidence", "detail", "title", "reference", "how"}
    | {"decision", "binding", "items", "take_over", "from", "to", "until", "minutes"}
    | {"mode", "value", "happened", "severity", "old", "new", "password", "days"}
    | {"role", "kind", "email", "teams", "languages", "scopes", "url", "events"}
    | {"with_arguments", "target", "mail", "arguments", "anyway"}
    | {"usd", "tokens", "turns"}
)
# `name` of these is a label that nothing is counted under.
LABELS = frozenset(
    {"POST /people", "PATCH /people/{id}", "POST /me/tokens"}
    | {"POST /people/{id}/tokens"}
)


@dataclass(frozen=True)
class Counter:
    """A desk behind its API: 20 dollars move unasked, the rest asks."""

    desk: Desk
    http: httpx2.AsyncClient
    people: People

    async def start(self, headers: dict[str, str], **body: Any) -> httpx2.Response:
        """Ask for a run; `input` is the usual customer's unless given."""
        whole = {"workflow": "desk", "input": ticket("c1"), **body}
        return await self.http.post(RUNS, json=whole, headers=headers)

    async def drafts(self, run: str, cents: int, order: str) -> None:
        """Let the run draft one refund, as `think` commits it."""
        at = self.desk.clock()
        step = StepRow(run=run, step=1, name="act", kind="act", created_at=at)
        await position.begin_step(
            self.desk.store, step, lambda _release, _input: "hello"
        )
        await self.desk.draft(run, refund(cents, order=order))

    async def refunded(self, answer: httpx2.Response, cents: int, order: str) -> str:
        """Return what became of a refund that a run just started drafts."""
        run = answer.json()["id"]
        await self.drafts(run, cents, order)
        kind = (await self.desk.lease(run, holder=run)).kind
        if kind == "leased":
            await self.desk.do(run, holder=run)
        return kind


@pytest.fixture
async def counter(tables_url: str) -> AsyncIterator[Counter]:
    rules = (SMALL, ASK, NOTES)
    async with open_desk(tables_url, rules=rules, limits=()) as desk:
        app = create_app(Settings(), desk.store, None, desk.signer)
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://keyturn.test"
        ) as http:
            yield Counter(desk, http, People(desk.store))


def ticket(customer: str) -> dict[str, str]:
    return {"customer_id": customer, "text": "hello"}


INVENTED = {
    "tenant": {"tenant": "t-99"},
    "tenant-spelled": {"tenant": "Default"},
    "source": {"source": "made-up", "external_id": "1"},
    "external-id": {"source": "desk", "external_id": "T-2"},
    "customer-case": {"input": ticket("C1")},
    "customer-space": {"input": ticket("c1 ")},
    "customer-wide": {"input": ticket("\uff43\uff11")},
    "customer-invisible": {"input": ticket("c\u200b1")},
    "workflow": {"workflow": "desk-2"},
    "key": {"headers": {"Idempotency-Key": "made-up"}},
}


@pytest.mark.parametrize("body", INVENTED.values(), ids=list(INVENTED))
async def test_p04_an_invented_name_in_a_run_frees_no_money(
    counter: Counter, body: dict[str, Any]
) -> None:
    bot = await counter.people.token("bot", kind="service")
    first = await counter.start(bot, source="desk", external_id="T-1")
    assert await counter.refunded(first, 15_00, "o1") == "leased"

    wanted = {**body}
    headers = {**bot, **wanted.pop("headers", {})}
    answer = await counter.start(headers, **wanted)

    if answer.status_code == 202:
        assert await counter.refunded(answer, 6_00, "o2") == "waiting"
    else:
        assert answer.status_code in {403, 404, 422}


async def test_p04_three_tenants_are_one_customer_and_one_order(
    counter: Counter,
) -> None:
    await declare(counter.desk.store, "t-1", "t-2", "t-3")
    ann = await counter.people.token("ann")

    started = [await counter.start(ann, tenant=f"t-{n}") for n in (1, 2, 3)]
    became = [await counter.refunded(one, 15_00, "o1") for one in started]

    assert [one.status_code for one in started] == [202, 202, 202]
    assert became == ["leased", "waiting", "waiting"]


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


async def test_p02_a_message_of_one_external_id_has_one_text(counter: Counter) -> None:
    ann = await counter.people.token("ann")
    run = (await counter.start(ann)).json()["id"]
    path, sent = f"{RUNS}/{run}/messages", {"text": "Hello?", "external_id": "m1"}

    answers = [
        await counter.http.post(path, json={**sent, **more}, headers=ann)
        for more in ({}, {}, {"text": "Something else"})
    ]

    assert [one.status_code for one in answers] == [200, 200, 409]


Probe = Callable[[Counter], Awaitable[None]]


async def _nobodys_filter(counter: Counter) -> None:
    """A filter of an invented tenant reaches no run."""
    olga = await counter.people.token("olga", role="operator")
    await counter.start(olga)
    body = {"filter": {"tenant": "t-99"}, "reason": "x"}

    for verb in ("pause", "resume", "cancel"):
        answer = await counter.http.post(f"{RUNS}:{verb}", json=body, headers=olga)
        assert answer.status_code in {200, 202, 422}
    while await bulk.work(counter.desk.store):
        pass
    [run] = await counter.desk.rows(RunRow)
    assert (run.paused_by, run.cancel_reason) == (None, None)


async def _another_scope(counter: Counter) -> None:
    """A switch that holds is not narrowed by naming another scope under its name."""
    olga = await counter.people.token("olga", role="operator")
    wanted = {"scope": {"tool": "refund"}, "mode": "halt", "reason": "x"}
    path = f"{API}/switches/stop"
    await counter.http.put(path, json=wanted, headers=olga)
    other = {**wanted, "scope": {"tenant": "t-99", "tool": "refund"}}

    answer = await counter.http.put(path, json=other, headers=olga)

    assert answer.status_code in {409, 422}
    started = await counter.start(olga)
    assert await counter.refunded(started, 1_00, "o1") == "stopped"


async def _refused_elsewhere(counter: Counter) -> None:
    """Incidents, webhooks and tokens take no tenant that is not declared."""
    ada = await counter.people.token("ada", role="admin")
    bot = (await counter.people.named("bot", kind="service")).id
    bodies = {
        "/incidents": {"severity": "low", "title": "x", "detail": "x"},
        "/webhooks": {"url": "https://hooks.example/x"},
    }

    for path, body in bodies.items():
        whole = {**body, "tenant": "t-99"}
        answer = await counter.http.post(f"{API}{path}", json=whole, headers=ada)
        assert answer.status_code == 422, path
    made = await counter.http.post(
        f"{API}/people/{bot}/tokens",
        json={"name": "x", "tenants": ["t-99"]},
        headers=ada,
    )
    assert made.status_code == 422


async def _account_elsewhere(counter: Counter) -> None:
    """An account of a tenant that is not declared starts nothing."""
    ada = await counter.people.token("ada", role="admin")
    body = {"name": "B", "email": "b@shop.example", "role": "agent", "tenant": "t-99"}
    body["kind"] = "service"
    made = (await counter.http.post(f"{API}/people", json=body, headers=ada)).json()

    answer = await counter.http.post(
        f"{API}/people/{made['id']}/tokens", json={"name": "x"}, headers=ada
    )

    assert answer.status_code == 422


async def _two_people(counter: Counter) -> None:
    """A tenant's name declares nothing by itself."""
    ada = await counter.people.token("ada", role="admin")
    await counter.people.token("bea", role="admin")
    wanted = {"name": "t-99", "reason": "x"}
    await counter.http.post(f"{API}/tenants", json=wanted, headers=ada)

    assert (await counter.start(ada, tenant="t-99")).status_code == 422


async def _no_budget(counter: Counter) -> None:
    """A budget that holds nothing, or that there is not, is not raised."""
    olga = await counter.people.token("olga", role="operator")
    run = (await counter.start(olga)).json()["id"]

    for scope in ("all", "run run-0", f"run {run}", "tenant t-99 on 2999-01-01"):
        body = {"scope": scope, "usd": "6", "reason": "x"}
        answer = await counter.http.post(
            f"{API}/budgets:raise", json=body, headers=olga
        )
        assert answer.status_code in {404, 409, 422}, scope


async def _in_a_run(counter: Counter) -> None:
    """What `POST /runs` names is tried by `INVENTED`, field by field."""
    del counter


PROBES: dict[tuple[str, str], Probe] = {
    **dict.fromkeys(
        (
            ("POST /runs", field)
            for field in ("workflow", "input", "tenant", "source", "external_id")
        ),
        _in_a_run,
    ),
    ("POST /runs/{id}/messages", "external_id"): _in_a_run,
    **dict.fromkeys(
        ((f"POST /runs:{verb}", "filter") for verb in ("pause", "resume", "cancel")),
        _nobodys_filter,
    ),
    ("PUT /switches/{id}", "scope"): _another_scope,
    ("POST /switches:impact", "scope"): _nobodys_filter,
    ("POST /incidents", "tenant"): _refused_elsewhere,
    ("POST /webhooks", "tenant"): _refused_elsewhere,
    ("POST /me/tokens", "tenants"): _refused_elsewhere,
    ("POST /people/{id}/tokens", "tenants"): _refused_elsewhere,
    ("POST /people", "tenant"): _account_elsewhere,
    ("PUT /people/{id}/access", "tenant"): _account_elsewhere,
    ("POST /tenants", "name"): _two_people,
    ("POST /budgets:raise", "scope"): _no_budget,
}


async def test_p04_every_body_field_is_known_to_name_a_scope_or_none(
    counter: Counter,
) -> None:
    document = (await counter.http.get(f"{API}/openapi.json")).json()
    fields = set(_fields(document))
    named = {(route, one) for route, one in fields if one not in PLAIN}
    named -= {(route, "name") for route in LABELS}

    assert named == set(PROBES), "give a new field a probe, or say that it is plain"


@pytest.mark.parametrize("probe", list(dict.fromkeys(PROBES.values())))
async def test_p04_inventing_a_scopes_name_widens_nothing(
    counter: Counter, probe: Probe
) -> None:
    await probe(counter)


def _fields(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, verbs in document["paths"].items():
        for verb, route in verbs.items():
            name = f"{verb.upper()} {path.removeprefix(API)}"
            for content in route.get("requestBody", {}).get("content", {}).values():
                for field in _properties(document, content["schema"]):
                    yield name, field


def _properties(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    for part in (schema, *schema.get("anyOf", ())):
        reference = part.get("$ref", "").rpartition("/")[2]
        whole = document["components"]["schemas"][reference] if reference else part
        yield from whole.get("properties", {})
