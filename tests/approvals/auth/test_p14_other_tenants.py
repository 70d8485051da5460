"""P14: what another tenant has is told nowhere: no list, page, stream or refusal."""

import pytest
from fastapi import FastAPI

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.runs import end, start
from keyturn.orchestrator.store.runs.start import NewRun
from tests.approvals.auth import estate, routes
from tests.approvals.auth.asgi import Answer, ask
from tests.approvals.auth.estate import CSRF, THERE, World
from tests.depth import some

# The first look of a live stream comes at once; the next a second later.
LISTEN_S = 0.2
READERS = ("agent", "auditor", "admin")


@pytest.fixture
def tables_url(sqlite_tables: str) -> str:
    """The quicker database: each query that parts tenants is the same on both."""
    return sqlite_tables


@pytest.fixture
async def world(store: Store) -> World:
    return await estate.build(store)


@pytest.fixture
def app(world: World) -> FastAPI:
    return create_app(Settings(), world.store, None, Signer(new_key()))


@pytest.mark.parametrize(("turn", "role"), list(enumerate(READERS)))
async def test_p14_no_route_tells_of_another_tenants_things(
    app: FastAPI, world: World, turn: int, role: str
) -> None:
    key = world.here.keys[role]
    told: list[str] = []

    # Each role asks for a third of them; for all in a search.
    reads = [route for route in routes.every(app) if route.method == "GET"]
    for route in some(reads, of=len(READERS), turn=turn):
        # A stream tells that something changed, and is asked for nothing else.
        is_live = route.path.endswith(("/live", "/events"))
        for query in (
            ("",) if is_live else ("", f"tenant={THERE}", "all=true", "state=")
        ):
            path = f"{route.at(world, world.here.ids, key)}?{query}"
            answer = await ask(app, "GET", path, headers=key.token, listen_s=LISTEN_S)
            told += [f"{path}: {what}" for what in _of_there(world, answer, query)]

    assert not told, "\n".join(told)


@pytest.mark.parametrize("role", ["agent", "admin"])
async def test_p14_another_tenants_ids_and_ids_of_nothing_are_answered_alike(
    app: FastAPI, world: World, role: str
) -> None:
    key = world.here.keys[role]
    nothing = {
        noun: "987654321" if noun == "notices" else f"{noun}-of-nobody"
        for noun in world.there.ids
    }
    differs: list[str] = []

    for route in routes.every(app):
        if route.method != "GET" or not route.is_bound(world):
            continue
        theirs = await _read(app, world, route, world.there.ids, key.token)
        nobodys = await _read(app, world, route, nothing, key.token)
        if theirs != nobodys:
            differs.append(f"{route.name}: {theirs} and {nobodys}")

    assert not differs, "\n".join(differs)


async def test_p14_live_lists_are_silent_about_another_tenant(
    app: FastAPI, world: World
) -> None:
    key = world.here.keys["agent"]
    before = await ask(app, "GET", "/handoffs", headers=key.token)
    seen = before.text.split("live?seen=", 1)[1].split('"', 1)[0]

    async def hands_off() -> None:
        new = NewRun(
            workflow="support",
            input={"customer_id": "c", "text": "Hello"},
            tenant=THERE,
        )
        row, _ = await start.start(world.store, new)
        ending = end.Ending(outcome="handed_off", reason="refusal")
        await end.finish(world.store, row.id, ending)

    await hands_off()
    stream = await ask(
        app, "GET", f"/handoffs/live?seen={seen}", headers=key.token, listen_s=1.5
    )

    assert stream.status == 200
    assert b"changed" not in stream.body


@pytest.mark.parametrize("role", ["agent", "admin"])
async def test_p14_a_key_of_another_person_replays_nothing(
    app: FastAPI, world: World, role: str
) -> None:
    theirs, ours = world.there.keys["admin"], world.here.keys[role]
    body = {"scope": {"tenant": THERE}}
    path, once = "/api/v1/switches:impact", {"idempotency-key": "the-same-key"}
    first = await ask(app, "POST", path, headers={**theirs.token, **once}, body=body)

    again = await ask(app, "POST", path, headers={**ours.token, **once}, body=body)

    assert first.status == 200
    assert again.status == 403
    assert b"idempotency-replayed" not in again.headers


SPELLINGS = (
    "/api/v1/runs/{run}/",
    "/api/v1//runs/{run}",
    "/api/v1/runs/%2e%2e/runs/{run}",
    "/api/v1/runs/{run}%2ftrace",
    "/api/v1/runs/{run}%252ftrace",
    "/api/v1/runs/{run}%00",
    "/api/v1/runs/{run};a=b",
    "/api/v1/RUNS/{run}",
    "/API/v1/runs/{run}",
    "/runs/{run}/",
    "/static/..%2f..%2fapp.py",
    "/static/%2e%2e/app.py",
)


async def test_p14_no_spelling_of_a_path_leads_around_the_gate(
    app: FastAPI, world: World
) -> None:
    key = world.here.keys["admin"]
    for path in SPELLINGS:
        asked = path.format(run=world.there.ids["runs"])
        for headers in ({}, key.token):
            answer = await ask(app, "GET", asked, headers=headers)

            assert answer.status in (307, 401, 403, 404, 405, 422), asked
            assert "My lamp" not in answer.text


async def test_p14_no_other_method_leads_around_the_gate(app: FastAPI) -> None:
    for method in ("HEAD", "OPTIONS", "TRACE", "PATCH", "get", "X"):
        for path in ("/api/v1/runs", "/api/v1/audit", "/ops", "/api/v1/switches/x"):
            answer = await ask(app, method, path)

            assert answer.status in (404, 405), (method, path)


async def test_p14_a_method_named_in_a_header_counts_for_nothing(
    app: FastAPI, world: World
) -> None:
    switch = world.here.ids["switches"]
    agent = world.here.keys["agent"].token

    for name in ("x-http-method-override", "x-method-override"):
        answer = await ask(
            app,
            "GET",
            f"/api/v1/switches/{switch}?_method=DELETE&reason=x",
            headers={**agent, name: "DELETE"},
        )
        assert answer.status == 200
    admin = world.here.keys["admin"].token
    waiting = await ask(app, "GET", f"/api/v1/switches/{switch}", headers=admin)
    assert '"cleared_at":null' in waiting.text


async def test_p08_a_session_without_its_pages_token_changes_nothing(
    app: FastAPI, world: World
) -> None:
    key = world.here.keys["admin"]
    bare = {"cookie": key.session["cookie"]}
    wrong: list[str] = []

    for route in routes.every(app):
        if route.method == "GET" or route.name == "POST /sign-in":
            continue
        path = route.at(world, world.here.ids, key)
        for extra in ({}, {CSRF: "x" * 43}):
            answer = await ask(app, route.method, path, headers={**bare, **extra})
            if answer.status != 403 or "forged" not in answer.text:
                wrong.append(f"{route.name}: {answer.status}")

    assert not wrong, "\n".join(wrong)


async def _read(
    app: FastAPI,
    world: World,
    route: routes.Route,
    ids: dict[str, str],
    headers: dict[str, str],
) -> tuple[int, str]:
    """The answer with the asked id taken out of it."""
    path = route.at(world, ids, None)
    answer = await ask(app, "GET", path, headers=headers)
    text = answer.text
    # An effect's key begins with its run's id.
    for one in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(one, "ID")
    return answer.status, text


def _of_there(world: World, answer: Answer, asked: str) -> list[str]:
    """What of the other tenant stands in an answer, but what was asked with."""
    marks = {THERE, *world.there.ids.values()}
    text = answer.text.replace(asked, "") if asked else answer.text
    return [mark for mark in sorted(marks) if len(mark) > 3 and mark in text]
