"""Whatever arrives, in whatever field of whatever route: never a fault of ours."""

from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import ParamTypes
from fastapi.routing import APIRoute, iter_route_contexts

from keyturn.approvals.web.app import create_app
from keyturn.orchestrator.rules.authority.binding import Signer, new_key
from keyturn.orchestrator.rules.settings import Settings
from keyturn.orchestrator.store.db.database import Store
from tests.approvals.auth import estate, routes
from tests.approvals.auth.asgi import ask
from tests.approvals.auth.estate import World
from tests.depth import some

HOSTILE = (
    "a\x00\x1b[2J\r\nSet-Cookie: keyturn=x",
    "9" * 40,
    "-1",
    # Digits of another script, and what turns the direction of a text.
    "\u0661\u0662\u0663\u202e\uffff\U0010ffff",
)
# Each field takes the next value, from another one on each turn: all in a search.
TURNS = some(range(len(HOSTILE)), of=len(HOSTILE), turn=0)


@pytest.fixture
def tables_url(postgres_tables: str) -> str:
    """The stricter database, which refuses more of what a text may hold."""
    return postgres_tables


@pytest.fixture
async def world(store: Store) -> World:
    return await estate.build(store)


@pytest.fixture
def app(world: World) -> FastAPI:
    return create_app(Settings(), world.store, None, Signer(new_key()))


@pytest.mark.parametrize("turn", TURNS)
async def test_no_field_of_any_route_makes_a_fault(
    app: FastAPI, world: World, turn: int
) -> None:
    key = world.whole.keys["admin"]
    faults: list[str] = []

    for route, query, form in _asked(app, _from(turn)):
        path = route.at(world, world.here.ids, key)
        given = f"{path}?{query}" if query else path
        answer = await ask(app, route.method, given, headers=key.token, form=form)
        if answer.status >= 500:
            faults.append(f"{route.method} {given} {form}: {answer.status}")

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("turn", TURNS)
async def test_no_id_in_a_path_makes_a_fault(
    app: FastAPI, world: World, turn: int
) -> None:
    key = world.whole.keys["admin"]
    faults: list[str] = []

    for route, value in zip(routes.every(app), _from(turn), strict=False):
        ids = dict.fromkeys(world.here.ids, quote(value, safe=""))
        path = route.at(world, ids, key)
        body = routes.BODIES.get(route.name)
        form = _as_form(body) if route.is_page and body else None
        answer = await ask(
            app,
            route.method,
            f"{path}?{routes.QUERIES.get(route.name, '')}",
            headers=key.token,
            form=form,
            body=None if route.is_page else body,
        )
        if answer.status >= 500:
            faults.append(f"{route.method} {path}: {answer.status}")

    assert not faults, "\n".join(faults)


def _from(turn: int) -> Iterator[str]:
    """Yield the values again and again, beginning with the one at `turn`."""
    return islice(cycle(HOSTILE), turn, None)


def _asked(
    app: FastAPI, values: Iterator[str]
) -> Iterator[tuple[routes.Route, str, Mapping[str, str] | None]]:
    """Yield each route once for each of its fields, which then holds the value."""
    known = {one.name: one for one in routes.every(app)}
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute):
            continue
        dependant = context.original_route.dependant
        queries = [
            one
            for one in get_flat_params(dependant)
            if getattr(one.field_info, "in_", None) == ParamTypes.query
        ]
        for method in sorted((context.methods or set()) - {"HEAD"}):
            route = known[f"{method} {context.path}"]
            usual = _as_form(routes.BODIES.get(route.name, {}))
            for name in _names(_bodies(dependant)) if route.is_page else ():
                yield route, "", {**usual, name: next(values)}
            for name in _names(queries):
                yield route, f"{quote(name)}={quote(next(values))}", None


def _bodies(dependant: Dependant) -> list[ModelField]:
    found = list(dependant.body_params)
    for one in dependant.dependencies:
        found += _bodies(one)
    return found


def _names(params: list[ModelField]) -> list[str]:
    found: list[str] = []
    for one in params:
        model = getattr(one.field_info, "annotation", None)
        inner = getattr(model, "model_fields", None)
        if inner:
            found += [field.alias or name for name, field in inner.items()]
        else:
            found.append(one.alias)
    return found


def _as_form(body: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in body.items()}
