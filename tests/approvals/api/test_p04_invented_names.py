"""P4: what a caller writes in a request names no scope of its own.

Every field of every body is walked: one that ends up in the name of a limit, a budget, a
subject, an idempotent request or a switch has a probe below; a new one fails here.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from keyturn.orchestrator.store.runs import bulk
from keyturn.orchestrator.store.tables import RunRow
from tests.approvals.api.counter import API, RUNS, Counter, ticket
from tests.tenancy import declare

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
