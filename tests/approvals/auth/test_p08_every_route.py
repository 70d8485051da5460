"""P8: every route, by every role, on whose objects, against the table of permissions.

The routes come from the application itself. A new one fails here until it has a line
in `ROUTES` of approvals/auth/permissions.py; one with an object in its path also needs
that object in `estate.py` and, where it takes a body, the body in `routes.py`.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from keyturn.approvals.auth.permissions import (
    ALLOWED,
    ROUTES,
    SERVICE,
    UNASKED,
    WHOLE,
    Action,
)
from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store import migrate
from tests.approvals.auth import estate, routes
from tests.approvals.auth.asgi import Answer, ask
from tests.approvals.auth.estate import ROLES, Estate, Key, World
from tests.approvals.auth.routes import BODIES, QUERIES, Route
from tests.databases import patient
from tests.depth import SEARCHES

# What the table means, as answers.
ALLOWED_THERE = "allowed"
NOBODY = "401"
# Each comes to every route with half of the roles; with both in a search.
CREDENTIALS = ("session", "token") if SEARCHES else ("in turn",)
END_ALL = ("POST /settings/sessions/end", "POST /api/v1/me/sessions:end")
# They end the session, or token, that they are asked with.
ENDS = ("POST /sign-out", *END_ALL)


def _url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    """Both tenants in one file, made once; each test works on a copy."""
    path = tmp_path_factory.mktemp("estate") / "estate.sqlite"

    async def build() -> World:
        await migrate.upgrade(_url(path))
        store = patient(_url(path))
        try:
            return await estate.build(store)
        finally:
            await store.close()

    return path, asyncio.run(build())


@pytest.fixture
async def world(built: tuple[Path, World], tmp_path: Path) -> AsyncIterator[World]:
    path, made = built
    shutil.copyfile(path, tmp_path / "copy.sqlite")
    store = patient(_url(tmp_path / "copy.sqlite"))
    yield World(store, made.here, made.there, made.whole)
    await store.close()


@pytest.fixture
def app(world: World) -> FastAPI:
    # Webhooks are signed with it; without it nothing of them is looked up.
    settings = Settings(secret_key=SecretStr("k" * 32))
    return create_app(settings, world.store, None, Signer(new_key()))


async def test_every_route_has_a_line_in_the_table(app: FastAPI) -> None:
    names = {route.name for route in routes.every(app)}

    missing = [f'    "{name}": "read",' for name in sorted(names - set(ROUTES))]
    left_over = sorted(set(ROUTES) - names)

    assert not missing, (
        "No line says who may use these routes, so nobody may. Add to ROUTES in "
        "approvals/auth/permissions.py, with the action that each needs instead of "
        '"read", or "public":\n' + "\n".join(missing)
    )
    assert not left_over, f"Take out of ROUTES, no route has these names: {left_over}"


def test_what_a_page_asks_by_itself_is_a_route() -> None:
    assert ROUTES.keys() >= UNASKED


async def test_what_has_no_gate_is_public(app: FastAPI) -> None:
    open_ = {route.name for route in routes.every(app) if not route.has_gate}

    assert {ROUTES[name] for name in open_} <= {"public"}, open_


async def test_nobody_comes_in_without_signing_in(app: FastAPI, world: World) -> None:
    wrong: list[str] = []

    for route in routes.every(app):
        answer = await _ask(app, world, route, world.here, None, {})
        expected = ALLOWED_THERE if ROUTES[route.name] == "public" else NOBODY
        wrong += _differs(route, answer, expected)

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("role", ROLES)
async def test_own_tenants_objects(
    app: FastAPI, world: World, role: str, credential: str
) -> None:
    key = world.here.keys[role]

    wrong = await _walk(app, world, world.here, key, credential)

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("role", ROLES)
async def test_the_whole_installations_people(
    app: FastAPI, world: World, role: str, credential: str
) -> None:
    key = world.whole.keys[role]

    wrong = await _walk(app, world, world.there, key, credential)

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("role", ROLES)
async def test_another_tenants_objects_are_not_there(
    app: FastAPI, world: World, role: str, credential: str
) -> None:
    key = world.here.keys[role]

    wrong = await _walk(app, world, world.there, key, credential, is_foreign=True)

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("role", ROLES)
async def test_services_decide_nothing(app: FastAPI, world: World, role: str) -> None:
    service = world.here.services[role]

    wrong = await _walk(app, world, world.here, service, "token")
    wrong += await _walk(app, world, world.there, service, "token", is_foreign=True)

    assert not wrong, "\n".join(wrong)


async def _walk(
    app: FastAPI,
    world: World,
    owner: Estate,
    key: Key,
    credential: str,
    *,
    is_foreign: bool = False,
) -> list[str]:
    """Ask for every route as one person; return where the answer is not the table's."""
    wrong: list[str] = []
    # What is removed on the way is missed by nothing that comes later.
    for number, route in enumerate(sorted(routes.every(app), key=_takes_away)):
        if is_foreign and not route.is_bound(world):
            continue
        is_token = credential == "token" or (
            credential == "in turn" and (number + ROLES.index(key.person.role)) % 2 == 0
        )
        headers = key.token if is_token else key.session
        if route.name in ENDS:
            come = estate.with_token if is_token else estate.signed_in
            headers = await come(world.store, key.person)
        answer = await _ask(
            app, world, route, owner, key, headers, is_foreign=is_foreign
        )
        expected = _expected(route, key, is_foreign=is_foreign)
        wrong += _differs(route, answer, expected)
    return wrong


def _takes_away(route: Route) -> int:
    """How much goes with it: nothing, what it names, or all of a kind."""
    if route.name in END_ALL:
        return 2
    return 1 if route.method == "DELETE" else 0


async def _ask(  # noqa: PLR0917 a request's parts
    app: FastAPI,
    world: World,
    route: Route,
    owner: Estate,
    key: Key | None,
    headers: dict[str, str],
    *,
    is_foreign: bool = False,
) -> Answer:
    path = route.at(world, owner.ids, None if is_foreign else key)
    # On one's own objects nothing is sent, so that nothing changes under the walk.
    body = BODIES.get(route.name) if is_foreign else None
    query = QUERIES.get(route.name, "") if is_foreign else ""
    form = {name: str(value) for name, value in (body or {}).items()}
    return await ask(
        app,
        route.method,
        f"{path}?{query}",
        headers=headers,
        body=None if route.is_page or route.method == "GET" else body or {},
        form=form if route.is_page and route.method != "GET" else None,
    )


def _expected(route: Route, key: Key, *, is_foreign: bool) -> str:
    needed = ROUTES[route.name]
    if needed in ("public", "signed in"):
        return ALLOWED_THERE
    if needed == "metrics token":
        return NOBODY
    if not _may(needed, key):
        return "403"
    return "404" if is_foreign else ALLOWED_THERE


def _may(action: Action, key: Key) -> bool:
    """The table read here once more, so that `permissions.may` is tested with it."""
    person = key.person
    if person.kind == "service" and action not in SERVICE:
        return False
    if action in WHOLE and person.tenant is not None:
        return False
    return person.role in ALLOWED[action]


def _differs(route: Route, answer: Answer, expected: str) -> list[str]:
    found = _class(answer)
    is_right = found == expected
    if route.method == "GET" and expected == ALLOWED_THERE:
        # 422 where a query is needed; readiness says 503 where Temporal is away.
        is_right = answer.status in (200, 303, 422) or route.path == "/readyz"
    if is_right:
        return []
    return [
        f"{route.name}: the table says {expected}, the answer is {answer.status} "
        f"({found})"
    ]


def _class(answer: Answer) -> str:
    """What the answer says about permission: a body's faults come after it.

    That this approval is not this person's is the approval's own rule, not the table's.
    """
    if answer.status in (401, 404):
        return str(answer.status)
    if answer.status == 403 and "urn:keyturn:problem:may-not" in answer.text:
        return (
            "403" if '"urn:keyturn:problem:may-not"' in answer.text else ALLOWED_THERE
        )
    if answer.status == 403 and "urn:keyturn:problem:forged" in answer.text:
        return "forged"
    return ALLOWED_THERE if answer.status < 500 else "a fault of ours"
